#!/usr/bin/env bash
# Prove that Kilonova comes up on a bare Debian 12: makes one in a directory, clones this commit into it, and runs commands
# there as root. It shares this host's network and kernel, has processes and mounts of its own, and is gone afterwards.
#
#   tools/try_bare.sh 'make cloud && make cloud && make clean'
#
# Needs root and the package mmdebstrap. Keeps nothing; BARE_DIR=… keeps the Debian for the next run.
set -euo pipefail
commands=${1:?which commands shall run?}
repository=$(git rev-parse --show-toplevel)
bare=${BARE_DIR:-$(mktemp -d /tmp/kilonova-bare-XXXXXX)}
[ -n "${BARE_DIR:-}" ] || trap 'rm -rf --one-file-system "$bare"' EXIT

if [ ! -e "$bare/etc/debian_version" ]; then
    mmdebstrap --quiet --variant=minbase --include=python3,git,make,ca-certificates bookworm "$bare" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    # Packages and certificates come the way they come to this host.
    cp /etc/resolv.conf /etc/hosts "$bare/etc/"
    cp /etc/ssl/certs/ca-certificates.crt "$bare/etc/ssl/certs/"
    apt-config dump 'Acquire' >"$bare/etc/apt/apt.conf.d/99host"
fi
rm -rf "$bare/root/kilonova"
git clone --quiet --no-hardlinks "$repository" "$bare/root/kilonova"

passed_on=(HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
for name in PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL http_proxy https_proxy no_proxy; do
    [ -n "${!name:-}" ] && passed_on+=("$name=${!name}")
done

# A process namespace ends with its first process: whatever the commands left running goes with it.
unshare --mount --propagation private --pid --fork bash -euc '
    bare=$1 commands=$2
    shift 2
    # A root that is a mount of its own, as on any machine: what runs inside makes mount namespaces.
    mount --bind "$bare" "$bare"
    mount -t proc proc "$bare/proc"
    mount --rbind /sys "$bare/sys"
    mount --rbind /dev "$bare/dev"
    mount -t tmpfs tmpfs "$bare/run"
    exec chroot "$bare" /usr/bin/env -i "$@" bash -c "cd /root/kilonova; $commands"
' bash "$bare" "$commands" "${passed_on[@]}" </dev/null
