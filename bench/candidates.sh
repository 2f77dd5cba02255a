# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by guest.sh: what is compared. with_CANDIDATE FILE COMMAND... runs COMMAND
# with a device of that kind over FILE, whose path replaces {}, and takes the device
# down again. "raw" is no device: the file itself, the limit.

inline_io=/sys/module/blkfd/parameters/inline_io

# Says why a candidate cannot be measured here; fails if it can.
why_not()
{
	case $1 in
	*-worker) [ -e $inline_io ] || { echo "blkfd has no parameter inline_io"; return; } ;;
	ublk) command -v kublk >/dev/null || { echo "there is no kublk"; return; } ;;
	esac
	false
}

# with CANDIDATE FILE COMMAND...
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

# with_loop on|off FILE COMMAND...: direct I/O to the file or not; loop(4) falls
# back to buffered I/O without a word, which must not pass for the other.
with_loop()
{
	local mode=$1 file=$2 device status=0

	shift 2
	device=$(losetup --show --find --direct-io="$mode" "$file")
	[ "$(cat "/sys/block/${device#/dev/}/loop/dio")" = "$([ "$mode" = on ] && echo 1 || echo 0)" ] ||
		die "$device over $file: direct I/O is not $mode"
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
