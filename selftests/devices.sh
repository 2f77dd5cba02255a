# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced: which devices there are.

# Directories of those that sysfs shows, the ones on their way out among them.
# Spare disks are hidden.
devices()
{
	local dir hidden

	for dir in /sys/block/blkfd*; do
		hidden=
		read -r hidden <"$dir/hidden" || true
		[ ! -d "$dir" ] || [ "$hidden" = 1 ] || echo "$dir"
	done 2>/dev/null
}
