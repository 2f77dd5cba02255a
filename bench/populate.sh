# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by guest.sh: a file system is made on a device and filled with a tree.

tree=/dev/shm/tree
image=$room/image
image_mib=1024

# The files that run.sh has left at /share, in memory.
make_tree()
{
	[ ! -d $tree ] || return 0
	mkdir $tree
	tar -x -f /share/tree.tar -C $tree
}

# A program that needs nothing from the host while it runs, which would be idle time.
copier=/dev/shm/busybox

# populate DEVICE MKFS...: prints the instructions that copying and syncing took. The
# paths of blkfd exec can be mounted, but not made canonical.
populate()
{
	local start

	"${@:2}" "$1"
	mkdir -p /mnt/populate
	mount --no-canonicalize "$1" /mnt/populate
	sync
	start=$EPOCHREALTIME
	$copier cp -a $tree/. /mnt/populate/
	$copier sync -f /mnt/populate
	echo $((${EPOCHREALTIME/./} - ${start/./}))000
	umount /mnt/populate
}

# measure_populate CASE CANDIDATE - MKFS...
measure_populate()
{
	local value

	make_tree
	truncate -s "${image_mib}M" "$image"
	export -f populate
	export tree copier
	cp -u /bin/busybox $copier
	value=$(with "$2" "$image" bash -euc 'populate "$@"' - {} "${@:4}")
	sample "$1" "$2" instructions "$value"
	rm "$image"
	# The RAM disk gets its memory back.
	fstrim "$room"
	[ "$2" != ram-disk ] || blkdiscard -f /dev/ram1
}
