# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by guest.sh: what is measured. Each case runs its candidates in turn, as
# many times as there are rounds.

room=/mnt/bench
# Blocks of 4 KiB that a case reads or writes, each at most once.
blocks=40000
file_mib=160

fio=(fio --name=bench "--filename={}" --thread --ioengine=io_uring --direct=1 --bs=4k
	"--size=${file_mib}M" --output-format=json --output=/tmp/fio.json)

fio_result()
{
	jq '.jobs[0] | [.read, .write] | (map(.runtime) | add) * 1e6 / (map(.total_ios) | add)
		| round' /tmp/fio.json
}

# The file of a candidate, written, so that nothing is left to allocate.
prepare()
{
	local file=$room/${1%-worker}

	[ -e "$file" ] || dd if=/dev/zero of="$file" bs=1M count=$file_mib conv=fsync status=none
	echo "$file"
}

# for_each_candidate CASE CANDIDATES FUNCTION ARG...
for_each_candidate()
{
	local name=$1 candidates=$2 round candidate reason

	shift 2
	for ((round = 1; round <= rounds; round++)); do
		for candidate in $candidates; do
			if reason=$(why_not "$candidate"); then
				[ $round -gt 1 ] || echo "bench: $name: no $candidate: $reason" >&2
				continue
			fi
			"$1" "$name" "$candidate" "${@:2}"
		done
	done
}

fio_sample()
{
	local name=$1 candidate=$2 file

	shift 2
	file=$(prepare "$candidate")
	with "$candidate" "$file" "${fio[@]}" --io_size=$((blocks * 4 * effort / 100))k "$@"
	sample "$name" "$candidate" "instructions per I/O" "$(fio_result)"
}

run_case()
{
	local name candidates options

	IFS=: read -r name candidates options < <(grep "^$1:" "$here/cases.list") ||
		die "no such case: $1"
	# shellcheck disable=SC2086 # options are words
	for_each_candidate "$name" "$candidates" fio_sample $options
}

# The first run of a program reads it from the host, which takes its own time.
warm_up()
{
	"${fio[@]//\{\}/$(prepare raw)}" --io_size=4k --rw=randread
	fio_result >/dev/null
}
