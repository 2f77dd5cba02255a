#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest.sh TIMES PERCENT CANDIDATES CASE...: measures in the guest. A sample is a line
# of JSON on stdout: case, candidate, unit, value. TIMES may be "", for what cases.list
# says; PERCENT is of the I/O that it says. CANDIDATES are patterns, of which one must
# fit.
set -Eeuo pipefail
trap 'say "failed: $BASH_COMMAND (${BASH_SOURCE[0]##*/}:$LINENO)"' ERR
here=$(cd "$(dirname "$0")" && pwd)

release=$(uname -r)

say()
{
	echo "bench ${release%%+*}: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# shellcheck source=../selftests/devices.sh
. "$here/../selftests/devices.sh"
# shellcheck source=candidates.sh
. "$here/candidates.sh"
# shellcheck source=cases.sh
. "$here/cases.sh"
# shellcheck source=devices.sh
. "$here/devices.sh"
# shellcheck source=populate.sh
. "$here/populate.sh"

# A memfd of this very process, which devices can be made over.
[ -e /proc/$$/fd/9 ] || exec "$here/memfd" $file_mib "$0" "$@"

# The programs that are used here may be talkative.
exec 8>&1 1>&2

asked_times=$1
percent=$2
read -ra patterns <<<"$3"
shift 3

# What is counted is all that the processor does: udevd's look at each new loop
# device would be added to whatever runs next to it.
quiet_guest()
{
	udevadm control --exit
	while pgrep -x systemd-udevd >/dev/null; do
		sleep 0.1
	done
}

# Ten thousand devices are more than there may be, unless root says so.
raise_limits()
{
	local limit

	for limit in max_devices max_user_devices; do
		echo 20000 >/proc/sys/dev/blkfd/$limit
	done
}

# How much of fio's memory lies side by side is chance, and counts for a large I/O:
# those of 1 MiB ask for huge pages, and nothing else gets one.
choose_pages()
{
	echo never >/sys/kernel/mm/transparent_hugepage/enabled
	echo 16 >/proc/sys/vm/nr_hugepages
}

# Two RAM disks: XFS on the first is the room for backing files, the other is bare.
make_room()
{
	local kib=$((3 << 20))

	modprobe brd rd_nr=2 rd_size=$kib
	modprobe loop
	modprobe ublk_drv
	mkfs.xfs -q /dev/ram0
	mkdir -p "$room"
	mount /dev/ram0 "$room"
	write_file "/proc/$$/fd/9" $file_mib
}

# The first run of a program reads it from the host, which takes its own time.
warm_up()
{
	"${fio[@]//\{\}/$(prepare raw)}" --number_ios=1 --rw=randread
	fio_result >/dev/null
}

# sample CASE CANDIDATE UNIT VALUE
sample()
{
	printf '{"case":"%s","candidate":"%s","unit":"%s","value":%s}\n' "$@" >&8
	say "$(printf '%-18s %-22s %11s %s' "$1" "$2" "$4" "$3")"
}

# find_candidates NAME...: sets candidates.
find_candidates()
{
	local candidate pattern

	candidates=()
	for candidate in $1; do
		for pattern in "${patterns[@]}"; do
			# shellcheck disable=SC2053 # a pattern
			[[ $candidate = $pattern ]] || continue
			candidates+=("$candidate")
			break
		done
	done
	[ ${#candidates[@]} -gt 0 ] || say "$name: none of its candidates is wanted"
}

# Sets name, how, candidates, times, count and options of a case.
find_case()
{
	local group

	read -r name how group times count options < <(grep "^$1 " "$here/cases.list") ||
		die "no such case: $1"
	find_candidates "${groups[$group]}"
	times=${asked_times:-$times}
	[ "$count" = - ] || count=$((count * percent / 100))
}

run_case()
{
	local name how candidates times count options time candidate reason

	find_case "$1"
	for ((time = 1; time <= times; time++)); do
		for candidate in "${candidates[@]}"; do
			if reason=$(why_not "$candidate"); then
				[ $time -gt 1 ] || say "$name: no $candidate: $reason"
				continue
			fi
			# What ended before may still be at it in the background.
			sleep 0.3
			# shellcheck disable=SC2086 # options are words
			"measure_$how" "$name" "$candidate" "$count" $options
		done
	done
}

quiet_guest
raise_limits
choose_pages
make_room
warm_up
echo "{\"kernel\":\"$release\"}" >&8
for name in "$@"; do
	run_case "$name"
done
