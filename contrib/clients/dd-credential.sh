# shellcheck shell=sh
# Datadog access tokens from the program that DD_CREDENTIAL_HELPER names, for POSIX sh.
#
# One file to be sourced. It implements the contract for callers in dd-oauth's protocol.md.
#
#     . ./dd-credential.sh
#     send() {
#         dd_status=$(printf 'Authorization: Bearer %s\n' "$dd_access_token" |
#             curl -sS -H @- -o answer.json -w '%{http_code}' "$dd_api_url/api/v2/current_user")
#     }
#     dd_credential_call send
#
# The functions set dd_access_token, dd_expires_at (in seconds of Unix time; empty where nobody knows
# it), dd_site, dd_api_url and dd_org, which stay in this shell: do not call them in a subshell, do not export them, do not trace them with `set -x`.
# They return 0, or: 3 login required; 4 temporary failure, to be tried again with growing pauses;
# 127 there is no helper; anything else, the same call would fail again.
#
# What a caller may set, once this file is sourced:
dd_credential_site= # the site; empty leaves it to the helper
dd_credential_org= # the organization
dd_credential_interactive=yes # no: nobody is there to log in
dd_credential_margin=60 # seconds before its expiry at which a token is asked for again
dd_credential_deadline= # seconds; may only be longer than the helper's own

# Begins the line that ends an answer; a helper does not write it by chance.
_dd_end="#$$ exit"
dd_access_token='' dd_expires_at='' dd_site='' dd_api_url='' dd_org=''

# Runs `$1`, which makes a request and sets dd_status to its status; after a 401, once more with
# another token, where there is one.
dd_credential_call() {
    dd_credential_get || return
    "$1" || return
    if [ "${dd_status:?is not set by $1}" = 401 ]; then
        _dd_rejected=$dd_access_token
        dd_credential_renew || return
        [ "$dd_access_token" = "$_dd_rejected" ] || "$1"
    fi
}

# Sets the variables to a credential that is good now.
dd_credential_get() {
    if [ -n "$dd_access_token" ] && [ -n "$dd_expires_at" ] &&
        [ "$(date +%s)" -lt "$((dd_expires_at - dd_credential_margin))" ]; then
        return 0
    fi
    _dd_ask "get$(_dd_named "$dd_credential_site" "$dd_credential_org")" || {
        set -- "$?"
        dd_access_token=''
        return "$1"
    }
    _dd_take && return
    dd_access_token=''
    echo 'dd-credential: the answer of the helper is not one of its protocol' >&2
    return 1
}

# Rejects the token that the API answered 401 to, and asks for another; where the helper has no
# other, it is the same again.
dd_credential_renew() {
    _dd_request="erase$(_dd_named "$dd_site" "$dd_org")
access_token=$dd_access_token"
    dd_access_token=''
    _dd_ask "$_dd_request" || return
    dd_credential_get
}

# How many seconds the helper may take.
_dd_deadline() {
    case $dd_credential_interactive in
    no) echo "${dd_credential_deadline:-90}" ;;
    *) echo "${dd_credential_deadline:-420}" ;;
    esac
}

# The lines of a request that name the session.
_dd_named() { printf '%s' "${1:+
site=$1}${2:+
org=$2}"; }

# Runs the helper with the request `$1`, and sets _dd_answer to what it wrote, with a line of its
# exit code at the end.
_dd_ask() {
    case $dd_credential_site$dd_credential_org in
    *[[:cntrl:]]*)
        echo 'dd-credential: site and org must have no control characters' >&2
        return 2
        ;;
    esac
    _dd_answer=$(
        # Whatever the caller has set.
        set +emux -f
        _dd_request=$1
        # Words between blanks: no shell, no quoting.
        IFS=' 	'
        # shellcheck disable=SC2086
        set -- ${DD_CREDENTIAL_HELPER-}
        if ! _dd_program=$(_dd_find "${1-}"); then
            echo "dd-credential: DD_CREDENTIAL_HELPER names no program: '${1-}'" >&2
            echo "$_dd_end 127"
            exit
        fi
        shift
        [ "$dd_credential_interactive" != no ] || export DD_OAUTH_INTERACTIVE=never
        {
            printf '%s\n' "$_dd_request" | "$_dd_program" "$@" &
            _dd_helper=$!
            # What runs in the background ignores Ctrl-C.
            trap 'kill "$_dd_helper"' HUP INT TERM
            (
                sleep "$(_dd_deadline)" </dev/null >/dev/null 2>&1 &
                trap 'kill "$!"' TERM
                wait "$!" && echo "$_dd_end 4" && kill -KILL "$_dd_helper"
            ) 2>/dev/null &
            _dd_watch=$!
            wait "$_dd_helper" 2>/dev/null
            echo "$_dd_end $?"
            kill "$_dd_watch" 2>/dev/null
        } | _dd_read
    )
    case $_dd_answer in
    *"$_dd_end 0") return 0 ;;
    *"$_dd_end "[1-6]) return "${_dd_answer##* }" ;;
    *"$_dd_end 12"[67]) return 127 ;;
    *) return 1 ;;
    esac
}

# Passes an answer on, up to the line with the exit code and not to the end of the pipe, which
# another process may hold for longer than the helper lives. What no answer may have becomes `#`.
_dd_read() {
    (
        # A line without end must not fill the memory.
        # shellcheck disable=SC3045 # Where a shell lacks it, the deadline ends it.
        ulimit -v 262144 2>/dev/null
        LC_ALL=C exec sed -e 'y/	/ /' -e "/$_dd_end [0-9]*\$/q" \
            -e 's/.*[[:cntrl:]].*/#/' -e '/^[a-z_][a-z_]*=/!s/.*/#/' \
            -e 's/^access_token=.*[^!-~].*/#/' -e 64q
    )
}

# The path of a program: an absolute one, or a name that is in PATH.
_dd_find() {
    case $1 in
    /*)
        echo "$1"
        return
        ;;
    */* | '') return 1 ;;
    esac
    IFS=:
    for _dd_directory in $PATH; do
        # Nothing is run from the working directory, which may be anybody's.
        case $_dd_directory in /*) ;; *) continue ;; esac
        if [ -f "$_dd_directory/$1" ] && [ -x "$_dd_directory/$1" ]; then
            echo "$_dd_directory/$1"
            return
        fi
    done
    return 1
}

# Sets the variables from _dd_answer.
_dd_take() {
    [ "${#_dd_answer}" -le 65536 ] || return
    dd_access_token='' dd_expires_at='' dd_site='' dd_api_url='' dd_org=''
    _dd_type='' _dd_seen=' '
    while [ "$_dd_answer" != "$_dd_end 0" ]; do
        _dd_line=${_dd_answer%%
*}
        _dd_answer=${_dd_answer#*
}
        # A line that is cut off has the exit code behind it.
        case $_dd_line in *=*"$_dd_end 0" | '#'*) return 1 ;; esac
        _dd_key=${_dd_line%%=*} _dd_value=${_dd_line#*=}
        case $_dd_seen in *" $_dd_key "*) return 1 ;; esac
        _dd_seen="$_dd_seen$_dd_key "
        case $_dd_key in
        access_token) dd_access_token=$_dd_value ;;
        token_type) _dd_type=$_dd_value ;;
        expires_at) dd_expires_at=${_dd_value:-none} ;;
        site) dd_site=$_dd_value ;;
        api_url) dd_api_url=$_dd_value ;;
        org) dd_org=$_dd_value ;;
        esac
    done
    # A leading zero would make it octal.
    case $dd_expires_at in 0* | *[!0123456789]* | ????????????????*) return 1 ;; esac
    # The token is sent there: in the clear to this machine alone.
    case $dd_api_url in https://?* | http://127.0.0.1:?*) ;; *) return 1 ;; esac
    [ -n "$dd_access_token" ] && [ "${#dd_access_token}" -le 16384 ] &&
        [ "$_dd_type" = Bearer ] && [ -n "$dd_site" ]
}
