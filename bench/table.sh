#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# table.sh FILE: the samples of FILE in a Markdown table: the median of each case and
# candidate, and what it is over the raw file.
set -euo pipefail

jq -rs '
	def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;
	def line: "| " + join(" | ") + " |";
	group_by(.case)[] |
	(map(select(.candidate == "raw").value) | if length > 0 then median else null end) as $raw |
	([.[0].case, .[0].unit, "over raw", "spread"] | line), (["---", "---:", "---:", "---:"] | line),
	(group_by(.candidate)[] | (map(.value) | median) as $median |
		[.[0].candidate, $median,
		 (if $raw then $median - $raw else "" end),
		 (map(.value) | max - min)] | map(tostring) | line),
	""' "$1"
