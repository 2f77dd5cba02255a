#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures cases on one kernel, in one boot, and prints a table of them.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

usage()
{
	cat <<-USAGE
	bench/run.sh [-k KERNEL] [-n TIMES] [-p PERCENT] [-c CANDIDATES] [-t SECONDS] [-o FILE] CASE...

	-k KERNEL      as for selftests/qemu/run.sh (default: $series)
	-n TIMES       how often each candidate is measured, in turn
	-p PERCENT     of the usual amount of I/O (default: $percent)
	-c CANDIDATES  of those of a case measure only these, patterns, 'blkfd* raw'
	-t SECONDS     time allowed (default: $limit)
	-o FILE        put the samples into FILE, JSON, one a line, and print no table

	A CASE may be a pattern, 'direct-*'. Those that need two processors, jobs-*, cannot
	be measured together with others: instructions are counted on one.

	Cases: $(case_names | xargs)
	USAGE
}

series=6.12
times=
percent=100
only='*'
limit=1800
output=
while getopts :k:n:p:c:t:o:h option; do
	case $option in
	k) series=$OPTARG ;;
	n) times=$OPTARG ;;
	p) percent=$OPTARG ;;
	c) only=$OPTARG ;;
	t) limit=$OPTARG ;;
	o) output=$OPTARG ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { usage >&2; exit 2; }

# find_cases PATTERN...: sets cases.
find_cases()
{
	local pattern name found

	for pattern in "$@"; do
		found=
		for name in $(case_names); do
			# shellcheck disable=SC2053 # a pattern
			[[ $name = $pattern ]] || continue
			found=1
			cases+=("$name")
		done
		[ -n "$found" ] || die 2 "no such case: $pattern"
	done
}

# Sets options: instructions are counted on one processor, jobs are for two.
find_machine()
{
	local jobs

	jobs=$(printf '%s\n' "${cases[@]}" | grep -c '^jobs-') || true
	case $jobs in
	0) options+=(-i) ;;
	"${#cases[@]}") options+=(-c 2 -p) ;;
	*) die 2 "jobs-* cannot be measured together with others" ;;
	esac
}

# The first 10,000 files of the kernels' headers in the root, for the guest.
make_tree()
{
	local root

	root=$("$tree/selftests/qemu/root.sh")
	(cd "$root/usr/src" && find linux-headers-*-common ! -type d | LC_ALL=C sort |
		sed -n '1,10000p' >"$scratch/list")
	[ "$(wc -l <"$scratch/list")" = 10000 ] || die 123 "the root has too few kernel headers"
	mkdir "$scratch/share"
	tar -C "$root/usr/src" -cf "$scratch/share/tree.tar" -T "$scratch/list"
	options+=(-s "$scratch/share")
}

cases=() options=()
find_cases "$@"
find_machine
[[ " ${cases[*]}" != *" populate-"* ]] || make_tree
"$tree/selftests/qemu/run.sh" -k "$series" "${options[@]}" -m 4096 -t "$limit" -- \
	bench/guest.sh "$times" "$percent" "$only" "${cases[@]}" >"${output:-$scratch/samples}"
[ -n "$output" ] || "$bench/table.sh" "$scratch/samples"
