#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest.sh ROUNDS EFFORT CASE...: measures in the guest. A sample is a line of JSON
# on stdout: case, candidate, unit, value. EFFORT is the percentage of the full
# amount of I/O.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=candidates.sh
. "$here/candidates.sh"
# shellcheck source=cases.sh
. "$here/cases.sh"

rounds=$1
effort=$2
shift 2

die()
{
	echo "bench: $*" >&2
	exit 1
}

# What is counted is everything that the processor does: udevd's look at each new
# loop device would be added to whatever runs next to it.
quiet_guest()
{
	udevadm control --exit
	udevadm settle --timeout=5 2>/dev/null || true
}

# One RAM disk with XFS for the files, at $room. brd takes memory as it is written.
make_room()
{
	modprobe loop
	modprobe brd rd_nr=2 rd_size=$((3 << 20))
	mkfs.xfs -q /dev/ram0
	mkdir -p "$room"
	mount /dev/ram0 "$room"
}

# sample CASE CANDIDATE UNIT VALUE
sample()
{
	printf '{"case":"%s","candidate":"%s","unit":"%s","value":%s}\n' "$@"
	printf 'bench: %-22s %-22s %12s %s\n' "$1" "$2" "$4" "$3" >&2
}

quiet_guest
make_room
warm_up
for name in "$@"; do
	run_case "$name"
done
