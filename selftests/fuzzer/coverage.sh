#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# coverage.sh POINTS [blkfd.ko]: what the fuzzer covered: of each function that
# was reached how many of its points, and the functions that were not. POINTS is
# what fuzz leaves in FUZZ_OUT, from the same build as the module: run it in the
# same guest. With FUZZ_LINES=1: the source lines that were not reached, too.
set -euo pipefail

points=$1
module=${2:-$(dirname "$0")/../../kernel/blkfd.ko}

# Every call of the tracer in .text: the address behind it, and the function.
all_points()
{
	objdump -dr --no-show-raw-insn -j .text "$module" | awk '
		/^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3) }
		wanted && /^ *[0-9a-f]+:\t[^\t]*[a-z]/ && !/R_X86_64/ {
			address = $1
			sub(":", "", address)
			print address, name
			wanted = 0
		}
		/R_X86_64_PLT32\t__sanitizer_cov_trace_pc-/ { wanted = 1 }'
}

all=$(all_points)
[ -n "$all" ] || { echo "coverage.sh: $module has no points: no KCOV?" >&2; exit 1; }

awk 'NR == FNR { reached[$1]; next }
	{ total[$2]++; sum++ }
	$1 in reached { got[$2]++; hits++ }
	END {
		for (name in total)
			printf "%3d of %3d %s\n", got[name], total[name], name | "sort -k 4"
		close("sort -k 4")
		printf "%d of %d points\n", hits, sum
	}' "$points" <(echo "$all")

[ -z "${FUZZ_LINES:-}" ] || awk 'NR == FNR { reached[$1]; next } !($1 in reached) { print $1 }' \
	"$points" <(echo "$all") | addr2line -s -j .text -e "$module" | sed 's/ (disc.*//' | sort -V | uniq
