# For fish: copy this file to ~/.config/fish/conf.d/.
#
#   dd-run terraform plan   runs one program with a fresh token
#   dd-env --site eu1       puts a token into this shell, until dd-unenv
#
# A shell that keeps a token hands it to everything that it starts; `dd-run` does not.

function dd-run
    dd-oauth exec -- $argv
end

function dd-env
    # In two steps, so that a failure is one.
    set -l token (dd-oauth env --shell fish $argv)
    or return
    printf '%s\n' $token | source
end

function dd-unenv
    set -e DD_BEARER_TOKEN DATADOG_BEARER_TOKEN DD_ACCESS_TOKEN
    set -e DD_SITE DD_HOST DD_ORG DD_OAUTH_EXEC
end
