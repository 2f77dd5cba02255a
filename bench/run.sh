#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures cases on one kernel, in one boot that counts instructions, and prints a
# table of them; the samples go to a file if one is given.
set -euo pipefail
# shellcheck source=../selftests/qemu/common.sh
. "$(dirname "$0")/../selftests/qemu/common.sh"
bench=$tree/bench

usage()
{
	cat <<-USAGE
	bench/run.sh [-k KERNEL] [-r ROUNDS] [-e PERCENT] [-t SECONDS] [-o FILE] CASE...

	-k KERNEL   as for selftests/qemu/run.sh (default: $series)
	-r ROUNDS   how often each candidate is measured, in turn (default: $rounds)
	-e PERCENT  of the full amount of I/O (default: $effort)
	-t SECONDS  time allowed (default: $limit)
	-o FILE     append the samples to FILE, JSON, one a line

	Cases: $(cut -d: -f1 "$bench/cases.list" | xargs)
	USAGE
}

series=6.12
rounds=3
effort=100
limit=1800
samples=
while getopts :k:r:e:t:o:h option; do
	case $option in
	k) series=$OPTARG ;;
	r) rounds=$OPTARG ;;
	e) effort=$OPTARG ;;
	t) limit=$OPTARG ;;
	o) samples=$OPTARG ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { usage >&2; exit 2; }

need_host_packages jq
now=$(mktemp)
trap 'rm -f "$now"' EXIT
"$tree/selftests/qemu/run.sh" -k "$series" -i -m 4096 -t "$limit" -- \
	bench/guest.sh "$rounds" "$effort" "$@" >"$now"
[ -z "$samples" ] || cat "$now" >>"$samples"
"$bench/table.sh" "$now"
