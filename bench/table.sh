#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# table.sh FILE: the samples of FILE, a Markdown table for each case: the median, what
# it is over the raw file, and the distance between the least and the most.
set -euo pipefail

jq -L "$(dirname "$0")" -rs 'include "results";
	[.[] | select(.case)] | results | group_by(.case)[] |
	([.[] | select(.candidate | is_raw).values | median][0]) as $raw |
	([.[0].case, .[0].unit, "over raw", "spread"], ["---", "---:", "---:", "---:"] | row),
	(.[] | (.values | median) as $median | [.candidate, ($median | grouped),
		(if $raw then $median - $raw | grouped else "" end),
		(.values | max - min | grouped)] | row),
	""' "$1"
