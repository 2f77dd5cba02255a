#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Loads devices between an upper file system and a lower one with all that may wait
# for each other at once. usage() says how.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/file-systems.sh"
. "$here/load.sh"
. "$here/programs.sh"

disk=${TEST_DISK:-/dev/no-test-disk}
lowers="xfs ext4 btrfs tmpfs f2fs"
uppers="xfs ext4 btrfs"
layouts="sparse fallocated written fragmented"
seconds=300
limit=128
# What direct I/O needs on each of the lower ones: an upper one is made for one size.
block=4096
seed=${SEED:-1}
lower_dir=/mnt/lower
state=/tmp/stack
cgroup=/sys/fs/cgroup/blkfd-stack

usage()
{
	cat <<-USAGE
	stack.sh [-s SECONDS] [-m MIB] [-l "LAYOUT..."] PAIR...
	A PAIR is UPPER-on-LOWER: files on LOWER, which is made on $disk, are devices
	with UPPER on them. "all" is every one of
	  $uppers on $lowers, and f2fs-on-f2fs.
	Of a pair there is a device for each layout of its file (default: $layouts),
	half of them direct, and in the second half of the time the other half.

	-s SECONDS  of load for each pair (default: $seconds)
	-m MIB      what the load may use of memory (default: $limit)

	For each device there is a line of what it has done. A file that is not what was
	written, a file system that fsck complains of, a pair without I/O by the sender
	where that is possible, and one that does not end are failures.
	USAGE
}

say()
{
	printf '# %5d s: %s\n' "$SECONDS" "$*"
}

fail()
{
	echo "stack.sh: $pair: $*" >&2
	exit 1
}

all_pairs()
{
	local lower upper

	for lower in $lowers; do
		for upper in $uppers; do
			echo "$upper-on-$lower"
		done
	done
	echo f2fs-on-f2fs
}

# device_options NUMBER ROUND LAYOUT: a layout that discards would undo gets none.
device_options()
{
	[ $((($1 + $2) % 2)) = 0 ] || echo --direct
	case $3 in
	fallocated | written) echo --no-discard ;;
	esac
}

report_device()
{
	local layout=$1 id=$2 name value
	local -A stats

	while read -r name value; do
		stats[$name]=$value
	done <"/sys/block/blkfd$id/blkfd/stats"
	printf '%-14s %-10s %-16s inline %7d worker %7d would_block %6d errors %d\n' \
		"$pair" "$layout" "$(cat "/sys/block/blkfd$id/blkfd/flags")" \
		"${stats[inline_ios]}" "${stats[worker_ios]}" "${stats[would_block]}" \
		"${stats[errors]}"
	[ "${stats[errors]}" = 0 ] || fail "$layout: errors"
	inline_ios=$((inline_ios + stats[inline_ios]))
	worker_ios=$((worker_ios + stats[worker_ios]))
}

# What was written must be there on a new device of the other kind, too.
check_device()
{
	local dir=$state/$1 file=$lower_dir/$1
	shift

	mount_device "$file" "$dir" "$@" -o ro >/dev/null
	(cd "$dir" && md5sum --quiet -c "$dir.sums") || fail "${dir##*/}: other bytes"
	umount "$dir"
	blkfd exec --read-only --block-size "$block" "$file" -- \
		bash -c ". $here/file-systems.sh; check_fs $upper {}" ||
		fail "fsck.$upper of ${dir##*/} complains"
}

run_round()
{
	local round=$1 number=0 layout options
	local -A ids

	restart_lower
	for layout in $layouts; do
		mapfile -t options < <(device_options $((number++)) "$round" "$layout")
		ids[$layout]=$(mount_device "$lower_dir/$layout" "$state/$layout" "${options[@]}")
	done
	say "$pair, round $round: load"
	load_for $((seconds / 2)) "$round"
	say "$pair, round $round: check"
	for layout in $layouts; do
		(cd "$state/$layout" && find . -type f -exec md5sum {} +) >"$state/$layout.sums"
		[ "$(wc -l <"$state/$layout.sums")" -gt 4 ] || fail "$layout: hardly any files"
		report_device "$layout" "${ids[$layout]}"
		umount "$state/$layout"
	done
	number=1
	for layout in $layouts; do
		mapfile -t options < <(device_options $((number++)) "$round" "$layout")
		check_device "$layout" "${options[@]}"
	done
}

run_pair()
{
	local inline_ios=0 worker_ios=0 layout

	say "$pair: set up"
	start_lower
	for layout in $layouts; do
		say "$pair: $layout"
		mkdir -p "$state/$layout"
		make_file "$layout"
	done
	run_round 0
	run_round 1
	stop_lower || fail "fsck.$lower of $disk complains"
	printf '%s: %d I/Os inline, %d by workers: %d %%\n' "$pair" "$inline_ios" "$worker_ios" \
		$((100 * inline_ios / (inline_ios + worker_ios)))
	if [ "$lower" = btrfs ] || [ "$lower" = f2fs ]; then
		[ "$inline_ios" = 0 ] || fail "inline I/Os, on $lower"
	else
		[ "$inline_ios" != 0 ] || fail "no inline I/O"
	fi
}

# Shows who waits for what. Those who do may wait for ever: the runner powers off.
give_up()
{
	echo "stack.sh: BUG: $pair hangs" >/dev/kmsg
	echo w >/proc/sysrq-trigger
	dmesg | sed -n '/stack.sh: BUG/,$p' | head -n 1500 >&2
	[ "$lower" = tmpfs ] || timeout 10 fsfreeze -u "$lower_dir" || true
	fail "not over $1 s after its time"
}

watch_pair()
{
	local grace=$((600 + 120 * slowdown)) end

	end=$((SECONDS + seconds + grace))
	run_pair & local job=$!
	while kill -0 "$job" 2>/dev/null; do
		[ "$SECONDS" -lt "$end" ] || give_up "$grace"
		sleep "$slowdown"
	done
	wait "$job" || exit 1
	say "$pair: passed"
}

while getopts :s:m:l:h option; do
	case $option in
	s) seconds=$OPTARG ;;
	m) limit=$OPTARG ;;
	l) layouts=$OPTARG ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { usage >&2; exit 2; }
[ "$*" != all ] || mapfile -t pairs < <(all_pairs)
[ "$*" = all ] || pairs=("$@")

run_from_memory "$0" -s "$seconds" -m "$limit" -l "$layouts" "${pairs[@]}"
for pair in "${pairs[@]}"; do
	upper=${pair%-on-*} lower=${pair#*-on-}
	[[ " f2fs $uppers " = *" $upper "* && " $lowers " = *" $lower "* ]] ||
		{ pair=$pair fail "no such pair"; }
	watch_pair
done
echo "${#pairs[@]} pairs passed"
