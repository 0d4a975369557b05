# shellcheck shell=bash
# shellcheck disable=SC2034  # constants are read by the scripts that source this file
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What every lab script shares: names, addresses, messages, the container engine. To be sourced.

LAB_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
LAB_CACHE=${FLEETPOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fleetpost-mail}
LAB_SSH_DIR=$LAB_CACHE/ssh
LAB_CA_DIR=$LAB_CACHE/ca
LAB_IMAGE_PREFIX=localhost/fleetpost-mail
LAB_LABEL=org.fleetpost.lab

# Documentation ranges (RFC 5737, RFC 3849): no real network uses them, and no mail
# server configuration treats them as private addresses.
LAB_NETWORK=fleetpost-lab
LAB_SUBNET4=198.51.100.0/24
LAB_SUBNET6=2001:db8:25::/64
LAB_PREFIX4=198.51.100.
LAB_PREFIX6=2001:db8:25::
# Numbers below are for hosts with a fixed place, see README.md.
LAB_FIRST_FREE=200

say() { printf '%s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

need_root() {
    [[ $EUID -eq 0 ]] || die "run this as root: the lab hosts run systemd and need their own addresses"
}

# Debian packages the lab needs on the machine that runs it.
lab_engine_packages() {
    # netavark calls iptables; uidmap and aardvark-dns are dependencies podman looks for at run time.
    printf '%s\n' podman runc netavark aardvark-dns iptables mmdebstrap uidmap openssh-client openssl
}

has_commands() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || return 1
    done
}

# Installs what is missing; only with apt, only when something is missing.
ensure_engine() {
    local missing=() package
    if has_commands podman mmdebstrap iptables ssh openssl; then
        return 0
    fi
    command -v apt-get >/dev/null || die "podman, mmdebstrap, iptables, ssh and openssl are needed, and there is no apt-get to install them with"
    for package in $(lab_engine_packages); do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    say "Installing: ${missing[*]}"
    apt_get update
    apt_get install --no-install-recommends "${missing[@]}"
}

apt_get() {
    local log
    log=$(mktemp)
    if ! DEBIAN_FRONTEND=noninteractive apt-get --yes -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        die "apt-get $* failed"
    fi
    rm -f "$log"
}

# The lab's internal CA and the certificate of ca.test, made once for all hosts: an organisation's own CA, which has nothing to do
# with those that Pebble issues from. Python 3.13 insists on the key usage of a CA and on key identifiers.
ensure_ca() (
    [[ -e $LAB_CA_DIR/server.pem ]] && return 0
    umask 077
    mkdir -p -- "$LAB_CA_DIR"
    cd -- "$LAB_CA_DIR" || exit
    # Two scripts may come here at the same moment.
    exec 9>lock
    flock 9
    [[ -e server.pem ]] && return 0
    new_certificate '/CN=The lab CA' -keyout ca.key -out ca.pem \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    new_certificate /CN=ca.test -CA ca.pem -CAkey ca.key -keyout server.key -out server.partial \
        -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth \
        -addext subjectAltName=DNS:ca.test,DNS:localhost,IP:127.0.0.1
    mv server.partial server.pem
)

new_certificate() {
    local subject=$1
    shift
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "$subject" "$@" 2>/dev/null ||
        die "openssl could not make the certificate of $subject"
}

is_cgroup2() { [[ -d $1 && $(stat --file-system --format=%T "$1") == cgroup2fs ]]; }

# crun cannot start systemd where cgroups are version 1 or hybrid; runc can. With cgroups
# version 2 the engine's own choice is right.
runtime_options() {
    if ! is_cgroup2 /sys/fs/cgroup; then
        command -v runc >/dev/null || die "this machine has cgroups version 1: install runc"
        printf '%s\n' --runtime=runc
    fi
}

podman_() {
    local options=()
    mapfile -t options < <(runtime_options)
    podman "${options[@]}" "$@"
}

has_ipv6() {
    [[ -e /proc/sys/net/ipv6/conf/all/disable_ipv6 && $(</proc/sys/net/ipv6/conf/all/disable_ipv6) == 0 ]]
}

ensure_network() {
    local options=(--disable-dns --subnet "$LAB_SUBNET4" --label "$LAB_LABEL=1")
    podman network exists "$LAB_NETWORK" && return 0
    if has_ipv6; then
        options+=(--ipv6 --subnet "$LAB_SUBNET6")
    else
        say "This kernel has no IPv6: the lab network is IPv4 only, and what is tested over IPv6 will fail."
    fi
    # Two scripts may come here at the same moment.
    podman network create "${options[@]}" "$LAB_NETWORK" >/dev/null || podman network exists "$LAB_NETWORK"
}

image_exists() { podman image exists "$LAB_IMAGE_PREFIX/$1"; }

container_exists() { podman container exists "$1"; }

# Containers of the lab whose names match a shell pattern, one a line.
lab_containers() {
    local pattern=${1:-*} name
    podman ps --all --filter "label=$LAB_LABEL" --format '{{.Names}}' | while read -r name; do
        # shellcheck disable=SC2053  # a pattern on purpose
        [[ $name == $pattern ]] && printf '%s\n' "$name"
    done
    return 0
}
