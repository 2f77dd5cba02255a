# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by stack.sh: what goes on at once, on and below the mounted devices.

slowdown=${TEST_SLOWDOWN:-1}

# fio verifies all that it has written when its time is over, however long that takes.
scale=$((slowdown > 1 ? 4 : 1))

# pause TENTHS: of a second, of a kernel that is not slowed down.
pause()
{
	local tenths=$(($1 * slowdown))

	sleep $((tenths / 10)).$((tenths % 10))
}

# Verified data on each device, by way of the page cache and past it: one process,
# since on a slow kernel it takes half a minute to start.
load_fio()
{
	local seconds=$1 layout dir log=$state/fio

	cat <<-JOBS >"$log.jobs"
	[global]
	size=$((8 / scale))m
	rw=randwrite
	verify=crc32c
	verify_fatal=1
	verify_backlog=64
	verify_state_save=0
	time_based
	runtime=$seconds
	randseed=$seed
	thread
	JOBS
	for layout in $layouts; do
		dir=$state/$layout/fio
		rm -rf "$dir"
		mkdir "$dir"
		cat <<-JOBS >>"$log.jobs"
		[buffered]
		directory=$dir
		ioengine=psync
		bs=4k
		fsync=32
		[direct]
		directory=$dir
		ioengine=io_uring
		iodepth=8
		direct=1
		bs=16k
		JOBS
	done
	fio --output="$log.log" "$log.jobs" || { cat "$log.log" >&2; return 1; }
}

# The time of all others begins when the files of this one's jobs are there.
wait_for_fio()
{
	local layout

	for layout in $layouts; do
		until compgen -G "$state/$layout/fio/direct*" >/dev/null; do
			kill -0 "$1" 2>/dev/null || fail "fio did not start"
			pause 2
		done
	done
}

# A file of many extents, so that where a block is must itself be read.
make_extents()
{
	dd if=/dev/zero of="$1" bs=256k count=$((48 / scale / scale)) conv=fsync status=none
	fsload fragment "$1" 8192
}

load_device()
{
	local dir=$1 seconds=$2 jobs job

	rm -rf "$dir/files"
	mkdir "$dir/files"
	fsload scatter "$dir/extents" "$seconds" & jobs=($!)
	fsload run "$dir/files" 2 "$seconds" "$seed" & jobs+=($!)
	for job in "${jobs[@]}"; do
		wait "$job" || fail "${dir##*/}: the load failed"
	done
}

disturb_freeze()
{
	[ "$lower" != tmpfs ] || return 0
	fsfreeze -f "$lower_dir"
	sleep 0.$((RANDOM % 9 + 1))
	fsfreeze -u "$lower_dir"
	pause 10
}

# That much cannot always be had.
disturb_reclaim()
{
	echo $((limit / 4))M >"$cgroup/memory.reclaim" || true
	pause 10
} 2>/dev/null

disturb_caches()
{
	echo 3 >/proc/sys/vm/drop_caches
	pause 30
}

disturb_sync()
{
	sync
	pause 2
}

# repeat COMMAND: while the load lasts, but for what must be verified after it.
repeat()
{
	while [ -e "$state/disturbed" ]; do
		"$@"
	done
}

# load_for SECONDS ROUND: all in a cgroup whose memory they must share.
load_for()
{
	local seconds=$1 layout what jobs disturbers=() job failed=0

	seed=$((seed + 100 * ($2 + 1)))
	mkdir -p "$cgroup"
	echo "${limit}M" >"$cgroup/memory.max"
	{
		echo 0 >"$cgroup/cgroup.procs"
		load_fio "$seconds"
	} & jobs=($!)
	wait_for_fio "${jobs[0]}"
	: >"$state/disturbed"
	for what in freeze reclaim caches sync; do
		repeat disturb_$what & disturbers+=($!)
	done
	for layout in $layouts; do
		{
			echo 0 >"$cgroup/cgroup.procs"
			load_device "$state/$layout" "$seconds"
		} & jobs+=($!)
	done
	sleep "$seconds"
	rm "$state/disturbed"
	say "$pair, round $2: end of the load"
	for job in "${jobs[@]}"; do
		wait "$job" || failed=1
	done
	wait "${disturbers[@]}" || fail "a disturber failed"
	say "memory.events: $(xargs <"$cgroup/memory.events") peak $(cat "$cgroup/memory.peak")"
	[ $failed = 0 ] || fail "the load failed"
	rmdir "$cgroup"
}
