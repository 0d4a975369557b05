#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# foreign-configuration.sh DIR HEADER: prints the files of the Dovecot configuration in DIR that somebody wrote or changed.
#
# Nothing is foreign when dovecot.conf is missing (Dovecot does not start without it) or begins with HEADER (ours: it reads
# no conf.d). Otherwise each file is compared with what its package brought: Debian's Dovecot registers its files with ucf,
# other packages with dpkg or in the RPM database.
set -eu
dir=$1
header=$2

unchanged_on_debian() {
    sum=$(md5sum <"$1" | cut -d ' ' -f 1)
    grep -qsxF "$sum  $1" /var/lib/ucf/hashfile && return 0
    dpkg-query --show --showformat='${Conffiles}\n' 'dovecot-*' 2>/dev/null | grep -qxF " $1 $sum"
}

unchanged_on_redhat() {
    package=$(rpm --query --file "$1" 2>/dev/null | head -n 1)
    rpm --query "$package" >/dev/null 2>&1 || return 1
    # The third letter of a verified file is its checksum: "5" when it differs.
    ! rpm --verify --nodeps --noscripts "$package" | grep -F " $1" | grep -q '^\(..5\|missing\)'
}

unchanged() {
    if command -v dpkg-query >/dev/null 2>&1 && [ -e /var/lib/dpkg/status ]; then
        unchanged_on_debian "$1"
    else
        unchanged_on_redhat "$1"
    fi
}

[ -e "$dir/dovecot.conf" ] || exit 0
if [ "$(head -n 1 "$dir/dovecot.conf")" = "$header" ]; then
    exit 0
fi
for file in "$dir/dovecot.conf" "$dir/local.conf" "$dir"/conf.d/*.conf "$dir"/conf.d/*.conf.ext; do
    if [ -e "$file" ] && ! unchanged "$file"; then
        printf '%s\n' "$file"
    fi
done
