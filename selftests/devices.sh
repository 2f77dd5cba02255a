# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced: which devices there are.

# Directories of those that sysfs shows, the ones on their way out among them, but
# not of spare disks, nor of what is to be one or was: those have no id to tell.
devices()
{
	local dir id

	for dir in /sys/block/blkfd*; do
		[ -d "$dir" ] || continue
		[ -e "$dir/blkfd/id" ] && ! read -r id <"$dir/blkfd/id" || echo "$dir"
	done 2>/dev/null
}
