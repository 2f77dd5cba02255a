#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# report.sh: from docs/bench/*.json makes the tables of docs/performance.md, which stand
# between marks there, and the plots in docs/bench.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

report=$documents/performance.md
mapfile -t results < <(printf '%s\n' "$documents"/bench/*.json | sort -V)

# topic NAME FORM
topic()
{
	jq -L "$bench" -rs --arg topic "$1" --arg form "$2" \
		"include \"results\"; $(cat "$bench/tables.jq")" "${results[@]}"
}

# The tables between <!-- table: TOPIC --> and <!-- end -->.
replace_tables()
{
	local line name

	while IFS= read -r line; do
		printf '%s\n' "$line"
		[[ $line =~ ^"<!-- table: "([a-z]+)" -->"$ ]] || continue
		name=${BASH_REMATCH[1]}
		topic "$name" markdown
		[ -z "$(topic "$name" plot)" ] || printf '\n![%s](bench/%s.svg)\n' "$name" "$name"
		while IFS= read -r line && [ "$line" != "<!-- end -->" ]; do :; done
		echo "<!-- end -->"
	done <"$report" >"$scratch/report"
	cat "$scratch/report" >"$report"
}

# draw TOPIC SCRIPT LABEL [SETTING]: by the root's gnuplot, so that the same data give
# the same picture everywhere.
draw()
{
	topic "$1" plot >"$scratch/plot/data"
	if [ ! -s "$scratch/plot/data" ]; then
		rm -f "$documents/bench/$1.svg"
		say "$1: not measured, no plot"
		return
	fi
	cp "$bench/$2" "$scratch/plot/script"
	in_root "$scratch/plot=/mnt" -- gnuplot -e "label='$3'; ${4:-bottom = 0}" /mnt/script \
		>"$documents/bench/$1.svg"
}

replace_tables
root=$("$tree/selftests/qemu/root.sh")
mkdir "$scratch/plot"
draw direct bars.gp 'instructions over the raw file, per 4 KiB'
draw sequential bars.gp 'instructions per MiB'
draw buffered bars.gp 'instructions per 4 KiB'
draw memfd bars.gp 'instructions per 4 KiB'
draw fsync bars.gp 'instructions per write and fsync'
draw populate bars.gp 'thousand million instructions'
draw devices bars.gp 'microseconds of the caller' 'set logscale y; bottom = 1'
draw live bars.gp 'microseconds for one more' 'set logscale y; bottom = 1'
draw memory bars.gp 'KB per device'
draw jobs bars.gp 'rate of two jobs over that of one'
