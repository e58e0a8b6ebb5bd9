# shellcheck shell=bash
# For bash and zsh: put `. /path/to/dd-oauth.sh` into ~/.bashrc or ~/.zshrc.
#
#   dd-run terraform plan   runs one program with a fresh token
#   dd-env --site eu1       puts a token into this shell, until dd-unenv
#
# A shell that keeps a token hands it to everything that it starts; `dd-run` does not.

dd_oauth_variables='DD_BEARER_TOKEN DATADOG_BEARER_TOKEN DD_ACCESS_TOKEN DD_SITE DD_HOST DD_ORG DD_OAUTH_EXEC'

dd-run() { dd-oauth exec -- "$@"; }

dd-env() {
    # In two steps, so that a failure is one.
    dd_oauth_token=$(dd-oauth env --shell sh "$@") || return
    eval "$dd_oauth_token"
    unset dd_oauth_token
}

dd-unenv() {
    # zsh splits no variable by itself.
    eval "unset $dd_oauth_variables"
}
