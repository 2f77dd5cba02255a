# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by stack.sh: file systems made, mounted and checked.

# make_fs TYPE DEVICE [OPTION...]: of an ext4. An xfs of less than 300 MiB is for
# tests only, as it says.
make_fs()
{
	case $1 in
	ext4) mkfs.ext4 -q -F "${@:3}" "$2" ;;
	f2fs) mkfs.f2fs -q -f "$2" >/dev/null ;;
	xfs) mkfs.xfs -q -f --unsupported "$2" >/dev/null ;;
	btrfs) mkfs.btrfs -q -f "$2" ;;
	esac
}

# check_fs TYPE DEVICE: shows what the check says if it complains.
check_fs()
{
	local out status=0

	case $1 in
	ext4) out=$(e2fsck -fn "$2" 2>&1) || status=1 ;;
	xfs) out=$(xfs_repair -n "$2" 2>&1) || status=1 ;;
	btrfs) out=$(btrfs check "$2" 2>&1) || status=1 ;;
	f2fs) out=$(fsck.f2fs --dry-run "$2" 2>&1) || status=1 ;;
	esac
	! grep -qE '\[Fail\]|\[ASSERT\]' <<<"$out" || status=1
	[ $status = 0 ] || echo "$out" >&2
	return $status
}

mount_lower()
{
	mount -t "$lower" "$disk" "$lower_dir"
}

# Of an ext4, times are in seconds: with finer ones, in a slow machine, hardly any
# write would find its file's time up to date, and be inline. tmpfs has the disk to
# swap to.
start_lower()
{
	mkdir -p "$lower_dir"
	wipefs -qa "$disk"
	if [ "$lower" = tmpfs ]; then
		mkswap "$disk" >/dev/null
		swapon "$disk"
		mount -t tmpfs -o size=4G tmpfs "$lower_dir"
	else
		make_fs "$lower" "$disk" -I 128 >/dev/null 2>&1
		mount_lower
	fi
}

# With nothing that it knows: not where the files are, either.
restart_lower()
{
	[ "$lower" != tmpfs ] || return 0
	umount "$lower_dir"
	mount_lower
}

stop_lower()
{
	umount "$lower_dir"
	if [ "$lower" = tmpfs ]; then
		swapoff "$disk"
	else
		check_fs "$lower" "$disk"
	fi
}

# make_file LAYOUT: with the upper file system.
make_file()
{
	local file=$lower_dir/$1 size=128

	truncate -s ${size}M "$file"
	case $1 in
	sparse) ;;
	fallocated) fallocate -l ${size}M "$file" ;;
	written) dd if=/dev/zero of="$file" bs=1M count=$size conv=notrunc,fsync status=none ;;
	fragmented)
		fallocate -l ${size}M "$file"
		fsload fragment "$file" 65536
		;;
	*) fail "no layout $1" ;;
	esac
	blkfd exec --no-discard --block-size "$block" "$file" -- \
		bash -c ". $here/file-systems.sh; make_fs $upper {}"
	mount_device "$file" "$state/$1" --no-discard >/dev/null
	make_extents "$state/$1/extents"
	umount "$state/$1"
}

# mount_device FILE DIR OPTION...: prints the device's number.
mount_device()
{
	local file=$1 dir=$2

	shift 2
	blkfd mount --json -t "$upper" --block-size "$block" "$@" "$file" "$dir" | jq .id
}
