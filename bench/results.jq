# SPDX-License-Identifier: GPL-2.0
# What the scripts of the bench know of samples and results.

def median: sort | (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2;

# Of samples, one result for each case and candidate, in the order of their coming.
def results: reduce .[] as $sample ({};
	.["\($sample.case) \($sample.candidate)"] |=
		((. // ($sample | del(.value) + {values: []})) | .values += [$sample.value]))
	| [.[]];

# Of a file of results, the median of a case and candidate; null if it was not measured.
def value($case; $candidate): [.results[] |
	select(.case == $case and .candidate == $candidate)][0].values |
	if . then median else null end;

def is_raw: startswith("raw");

# 12345678 as 12,345,678
def grouped: if . < 0 then "-" + (-. | grouped) else
	round | tostring | [while(length > 0; .[:-3]) | .[-3:]] | reverse | join(",") end;

# A number with that many decimals.
def fixed($decimals): . * pow(10; $decimals) | round | tostring |
	if $decimals == 0 then . else
		until(length > $decimals; "0" + .) | .[:-$decimals] + "." + .[-$decimals:] end;

def row: "| " + join(" | ") + " |";
