#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-static.sh SERIES...: what gcc with W=1, sparse, and Coccinelle with the checks
# of the kernel's source have against the modules, for each of these kernels. All of
# it is the Debian 13 root's. Prints what they find.
set -euo pipefail
# shellcheck source=qemu/common.sh
. "$(dirname "$0")/qemu/common.sh"
# shellcheck source=qemu/kernel.sh
. "$here/kernel.sh"
# shellcheck source=rules.sh
. "$(dirname "$0")/rules.sh"

[ $# -gt 0 ] || die 2 "which kernels?"
room=$(mktemp -d)
trap 'rm -f "$objections"; as_root rm -rf "$room"' EXIT

# make_in_room ARGUMENT...: quietly, with the copy of the tree in /mnt/blkfd. That is
# where Coccinelle's package has Python's library looked for in vain without help.
make_in_room()
{
	in_root "$room=/mnt" /sys=/sys -- env HOME=/tmp \
		LD_LIBRARY_PATH=/usr/lib/python3.13/config-3.13-x86_64-linux-gnu \
		make -s -j"$(nproc)" "$@"
}

# The copy has nothing that was built, so all is compiled, and checked.
compile()
{
	as_root rm -rf "$room/blkfd"
	rsync -a --exclude=/.git --filter=':- .gitignore' "$tree/" "$room/blkfd/"
	make_in_room -C /mnt/blkfd modules "KDIR=$kernel_build" W=1 C=2 \
		CHECK="sparse -include /mnt/blkfd/selftests/sparse.h"
}

# What spatch says of itself goes to a file, which coccicheck wants to be new. With
# more jobs than one it would write where it runs, which is read-only for 6.12.
run_coccicheck()
{
	make_in_room -C "$kernel_build" M=/mnt/blkfd/kernel coccicheck MODE=report \
		J=1 DEBUG_FILE="/mnt/$series.log" || tail "$room/$series.log"
}

# It greets, and names the checks that report nothing.
coccinelle()
{
	run_coccicheck | grep -v -e '^$' -e '^Please check for false positives' \
		-e '^When using "patch" mode' -e '^warning: Skipping .* not match mode'
}

for series in "$@"; do
	kernel_find "$series"
	say "checking for $series"
	rule "W=1 and sparse, $series" compile
	rule "Coccinelle, $series" coccinelle
done

conclude
