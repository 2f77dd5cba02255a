# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by guest.sh: what fio measures. Each function makes one sample.
# measure_HOW CASE CANDIDATE COUNT OPTION...

room=/mnt/bench
file_mib=64
# So much that no read finds what an earlier one has brought or read ahead.
uncached_mib=640

# Amounts, not times, so that each candidate does the same. A pass over what fio has
# cached itself is no concern here.
fio=(fio --name=bench "--filename={}" --thread --ioengine=io_uring --direct=1 --bs=4k
	--invalidate=0 --output-format=json --output=/tmp/fio.json)
small=("--size=${file_mib}M" --io_size=1T --norandommap)

# write_file FILE MIB: all of it, so that nothing is left to allocate.
write_file()
{
	dd if=/dev/zero of="$1" bs=1M count="$2" conv=fsync,notrunc status=none
}

# The file of a candidate.
prepare()
{
	local file=$room/${1%-worker}

	[ -e "$file" ] || write_file "$file" $file_mib
	echo "$file"
}

# Instructions for each I/O: while the processor is never idle, a nanosecond is one.
fio_result()
{
	jq '.jobs[0] | [.read, .write] | (map(.runtime) | add) * 1e6 / (map(.total_ios) | add)
		| round' /tmp/fio.json
}

# fio_sample CASE CANDIDATE COUNT FILE OPTION...
fio_sample()
{
	local name=$1 candidate=$2 count=$3 file=$4

	shift 4
	with "$candidate" "$file" "${fio[@]}" --number_ios="$count" "$@"
	sample "$name" "$candidate" "instructions per I/O" "$(fio_result)"
}

measure_fio()
{
	local file

	file=$(prepare "$2")
	fio_sample "$1" "$2" "$3" "$file" "${small[@]}" "${@:4}"
}

# All of the backing file is in the page cache.
measure_fio_cached()
{
	local file

	file=$(prepare "$2")
	dd if="$file" of=/dev/null bs=1M status=none
	fio_sample "$1" "$2" "$3" "$file" "${small[@]}" "${@:4}"
}

# Nothing of it is, and no block is asked for twice.
measure_fio_uncached()
{
	local file=$room/uncached

	[ -e "$file" ] || write_file "$file" $uncached_mib
	dd of="$file" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	fio_sample "$1" "$2" "$3" "$file" "--size=${uncached_mib}M" "${@:4}"
}

measure_fio_memfd()
{
	fio_sample "$1" "$2" "$3" "/proc/$$/fd/9" "${small[@]}" "${@:4}"
}

# One job on one processor, then two on two, next to each other in time: this machine
# may have more to do at one time than at another. I/Os per second of all jobs.
measure_jobs()
{
	local file jobs

	file=$(prepare "$2")
	for jobs in 1 2; do
		with "$2" "$file" "${fio[@]}" --number_ios="$3" "${small[@]}" --numjobs=$jobs \
			--group_reporting --cpus_allowed=0-1 --cpus_allowed_policy=split "${@:4}"
		sample "$1-$jobs" "$2" "I/O per second" \
			"$(jq '.jobs[0] | .read.iops + .write.iops | round' /tmp/fio.json)"
	done
}
