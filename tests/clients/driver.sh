#!/bin/sh
# Does with the client what each line of standard input says: driver.sh CLIENT [OPTION=VALUE]...
# shellcheck source=contrib/clients/dd-credential.sh
. "$1"
shift
for option; do
    case $option in
    site=*) dd_credential_site=${option#*=} ;;
    org=*) dd_credential_org=${option#*=} ;;
    interactive=*) dd_credential_interactive=${option#*=} ;;
    margin=*) dd_credential_margin=${option#*=} ;;
    deadline=*) dd_credential_deadline=${option#*=} ;;
    esac
done
tab=$(printf '\t')

# What became of a call that returned `$1`.
tell() {
    case $1 in
    0) echo "credential$tab$dd_access_token$tab$dd_expires_at$tab$dd_site$tab$dd_api_url$tab$dd_org" ;;
    3) echo "error${tab}login" ;;
    4) echo "error${tab}temporary" ;;
    127) echo "error${tab}missing" ;;
    *) echo "error${tab}failed" ;;
    esac
}
send() {
    echo "send$tab$dd_access_token"
    read -r dd_status
}
while read -r command count; do
    case $command in
    get)
        dd_credential_get
        tell "$?"
        ;;
    together)
        while [ "$count" -gt 0 ]; do
            dd_credential_get
            tell "$?"
            count=$((count - 1))
        done
        ;;
    call)
        if dd_credential_call send; then echo "status$tab$dd_status"; else tell "$?"; fi
        ;;
    deadline) echo "deadline$tab$(_dd_deadline)" ;;
    esac
done
