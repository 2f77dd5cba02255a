#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# full.sh KERNEL...: measures all cases on these kernels, and puts the results into
# docs/bench and docs/performance.md.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

load()
{
	cut -d ' ' -f 1 /proc/loadavg
}

# store KERNEL LOAD FILE...: a line for each case and candidate, so that a difference
# between two versions shows what has changed.
store()
{
	local kernel=$1 load=$2

	shift 2
	jq -L "$bench" -rs --arg tree "$(git -C "$tree" describe --always --dirty)" \
		--arg qemu "$(qemu-system-x86_64 --version | head -n 1)" --arg load "$load" '
		include "results";
		{kernel: [.[].kernel // empty][0], $tree, $qemu, $load} as $about |
		([.[] | select(.case)] | results | map(tojson)) as $lines |
		"{",
		($about | to_entries[] | " \(.key | tojson): \(.value | tojson),"),
		" \"results\": [",
		($lines[:-1][] | "  \(.),"),
		"  \($lines[-1])",
		" ]",
		"}"' "$@" >"$documents/bench/$kernel.json"
}

# Wall time, so one after the other, and how much else there was to do is noted.
measure_jobs()
{
	local before

	before=$(load)
	"$bench/run.sh" -k "$1" -t 3600 -o "$scratch/$1.jobs" 'jobs-*'
	echo "$before before jobs-*, $(load) after it, of $(nproc) processors" >"$scratch/$1.load"
}

mkdir -p "$documents/bench"
mapfile -t counted < <(case_names | grep -v '^jobs-')
on_kernels "$@" -- -t 5400 "${counted[@]}"
for kernel in "$@"; do
	measure_jobs "$kernel"
	store "$kernel" "$(cat "$scratch/$kernel.load")" "$scratch/$kernel".{samples,jobs}
done
"$bench/report.sh"
