#!/bin/sh
# Installs the feature while the container is built, as root. Build dd-oauth for Linux and put it
# beside this script first: `cargo build --release`, and copy target/release/dd-oauth.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# DESTDIR is where packagers and tests put the root of the file system.
root=${DESTDIR-}
[ -f "$here/dd-oauth" ] || {
    printf 'install.sh: there is no dd-oauth beside %s: build it first\n' "$here" >&2
    exit 1
}
install -D -m 755 "$here/dd-oauth" "$root/usr/local/bin/dd-oauth"

# The volume belongs to the one user of the container, and is open to nobody else.
user=${_REMOTE_USER:-root}
install -d -m 700 -o "$user" "$root/var/lib/dd-oauth"

# The option `site`, for the shells of that user.
if [ -n "${SITE-}" ]; then
    mkdir -p "$root/etc/profile.d"
    # What is none is refused here and not in each shell.
    case $SITE in
    *[!A-Za-z0-9.:/-]*) printf 'install.sh: %s is no site\n' "$SITE" >&2 && exit 1 ;;
    esac
    printf 'export DD_SITE=%s\n' "$SITE" >"$root/etc/profile.d/dd-oauth.sh"
fi
