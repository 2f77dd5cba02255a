# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by guest.sh: what is compared. with CANDIDATE FILE COMMAND... runs COMMAND
# with a device of that kind over FILE, whose path replaces {}, and takes the device
# down again. "raw" is no device: the file itself, the limit.

inline_io=/sys/module/blkfd/parameters/inline_io

declare -A groups=(
	[direct]="raw blkfd-direct blkfd-direct-worker loop-direct loop-buffered ublk ublk-zero-copy"
	[buffered]="raw-buffered blkfd-buffered blkfd-buffered-worker loop-buffered"
	[memfd]="raw-buffered blkfd-buffered blkfd-buffered-worker loop-buffered ublk"
	[fsync]="raw blkfd-direct blkfd-direct-worker blkfd-buffered loop-direct loop-buffered ublk"
	[populate]="ram-disk blkfd-direct blkfd-direct-worker blkfd-buffered loop-direct loop-buffered ublk"
	[devices]="blkfd loop"
	[live]="blkfd loop"
	[jobs]="raw blkfd-direct blkfd-direct-worker loop-direct ublk"
)

# Says why a candidate cannot be measured here; fails if it can.
why_not()
{
	case $1 in
	*-worker) [ -e $inline_io ] || { echo "blkfd has no parameter inline_io"; return; } ;;
	ublk-zero-copy)
		kublk features | grep -q UBLK_F_SUPPORT_ZERO_COPY ||
			{ echo "this kernel's ublk_drv cannot do it"; return; } ;;
	esac
	false
}

with()
{
	local candidate=$1

	shift
	"with_${candidate//-/_}" "$@"
}

with_raw()
{
	local file=$1

	shift
	"${@//\{\}/$file}"
}

# fio's own option decides how the file is read.
with_raw_buffered()
{
	with_raw "${@/#--direct=1/--direct=0}"
}

# No file below: what a file system takes that has the memory for itself.
with_ram_disk()
{
	shift
	"${@//\{\}//dev/ram1}"
}

with_blkfd_direct()
{
	local file=$1

	shift
	blkfd exec --direct "$file" -- "$@"
}

with_blkfd_buffered()
{
	local file=$1

	shift
	blkfd exec "$file" -- "$@"
}

# worker_only COMMAND...: with a module that never submits in the caller's context.
worker_only()
{
	local status=0

	echo N >$inline_io
	"$@" || status=$?
	echo Y >$inline_io
	return $status
}

with_blkfd_direct_worker()
{
	worker_only with_blkfd_direct "$@"
}

with_blkfd_buffered_worker()
{
	worker_only with_blkfd_buffered "$@"
}

# with_loop on|off FILE COMMAND...: direct I/O to the file or not. loop falls back to
# buffered I/O without a word, which must not pass for the other.
with_loop()
{
	local mode=$1 file=$2 device is status=0

	shift 2
	device=$(losetup --show --find --direct-io="$mode" "$file")
	is=$(cat "/sys/block/${device#/dev/}/loop/dio")
	[ "$mode$is" = on1 ] || [ "$mode$is" = off0 ] || die "$device: direct I/O is not $mode"
	"${@//\{\}/$device}" || status=$?
	losetup --detach "$device"
	return $status
}

with_loop_direct()
{
	with_loop on "$@"
}

with_loop_buffered()
{
	with_loop off "$@"
}

# with_kublk OPTIONS FILE COMMAND...: the server opens the file for direct I/O. The
# kernel drops a wish for zero copy that it cannot fulfil: see why_not.
with_kublk()
{
	local options=$1 file=$2 said number status=0

	shift 2
	# shellcheck disable=SC2086 # options are words
	said=$(kublk add -t loop -q "$(nproc)" $options "$file")
	[[ $said =~ ^"dev id "([0-9]+): ]] || die "kublk: $said"
	number=${BASH_REMATCH[1]}
	"${@//\{\}//dev/ublkb$number}" || status=$?
	kublk del -n "$number"
	return $status
}

with_ublk()
{
	with_kublk "" "$@"
}

with_ublk_zero_copy()
{
	with_kublk -z "$@"
}
