# SPDX-License-Identifier: GPL-2.0
# jq -s --arg topic TOPIC --arg form markdown|plot: what docs/performance.md and the
# plots show, from the files of results of all kernels. Include after results.jq.

def candidates: {
	direct: ["raw", "blkfd-direct", "blkfd-direct-worker", "loop-direct", "loop-buffered",
		"ublk", "ublk-zero-copy"],
	buffered: ["raw-buffered", "blkfd-buffered", "blkfd-buffered-worker", "loop-buffered",
		"ublk"],
	all: ["ram-disk", "raw", "blkfd-direct", "blkfd-direct-worker", "blkfd-buffered",
		"loop-direct", "loop-buffered", "ublk"],
	devices: ["blkfd", "loop"]
};

# A cell is made of {doc, case, candidate}; null if there is nothing to show.
def mine: .case as $case | .candidate as $candidate | .doc | value($case; $candidate);
def mine_in($unit): mine | if . then . / $unit else null end;
def of($candidate): .case as $case | .doc | value($case; $candidate);
def raw: of("raw") // of("raw-buffered");
def is_limit: .candidate | is_raw or . == "ram-disk";

def when($value; f): if $value == null then null else f end;

# Instructions for each I/O: of the raw file all, of the others what is over it.
def over_raw: raw as $raw | mine as $mine | when($mine;
	if is_limit then $mine | grouped else $mine - $raw | "+" + grouped end);
def over_raw_plot: raw as $raw | mine as $mine |
	if is_limit then null else when($mine; $mine - $raw) end;

# How fast, if the other's rate is 100 %.
def rate($other): of($other) as $other | mine as $mine | when($mine; when($other;
	$other / $mine * 100 | fixed(0) + " %"));
def and_rate($other): rate($other) as $rate | mine as $mine | when($mine;
	($mine | grouped) + when($rate; " (\($rate))") // "");

def giga($other): of($other) as $other | mine as $mine | when($mine;
	($mine / 1e9 | fixed(2)) + " (" + ($mine / $other * 100 | fixed(0)) + " %)");
def thousands: mine_in(1000) as $value | when($value; $value | fixed(1));

# Two jobs over one, each pair of runs on its own.
def pairs: .case as $case | .candidate as $candidate | [.doc.results[] |
	select(.candidate == $candidate and (.case | startswith($case + "-")))] |
	if length < 2 then null else
		[.[0].values, .[1].values] | transpose | map(.[1] / .[0]) | median end;
def scaling: pairs as $pairs | when($pairs; $pairs | fixed(2));
def share_of_scaling: pairs as $pairs | (.candidate = "raw" | pairs) as $raw |
	when($pairs; when($raw; $pairs / $raw * 100 | fixed(0) + " %"));

# A column for each kernel and column: {label, case, doc}.
def markdown($columns; $candidates; f): . as $docs |
	[$docs[] as $doc | $columns[] | . + {$doc}] as $columns |
	[$candidates[] as $candidate |
		[$columns[] | . + {$candidate} | f] |
		select(any(. != null)) | [$candidate] + map(. // "–") | row] as $rows |
	if $rows == [] then "Not measured." else
		([""] + ($columns | map(.doc.name + " " + .label)) | row),
		(["---"] + ($columns | map("---:")) | row),
		$rows[]
	end;

# A line for each kernel and column, and a column for each candidate that has a value.
def plot($columns; $candidates; f): . as $docs |
	[$docs[] as $doc | $columns[] | . + {$doc}] as $lines |
	[$candidates[] as $candidate | select(any($lines[]; . + {$candidate} | f != null)) |
		$candidate] as $candidates |
	select($candidates != []) |
	(["case"] + $candidates | @tsv),
	($lines[] as $line | ["\($line.doc.name) \($line.label)"] +
		[$candidates[] as $candidate | $line + {$candidate} | f // "?"] | @tsv);

def columns($cases): $cases | to_entries | map({case: .key, label: .value});

def show($form; $columns; $candidates; text; number):
	if $form == "plot" then plot($columns; $candidates; number)
	else markdown($columns; $candidates; text) end;

def topics($form): {
	direct: [show($form; columns({"direct-read-d32": "read, depth 32",
			"direct-write-d32": "write, 32", "direct-read-d1": "read, 1",
			"direct-write-d1": "write, 1"}); candidates.direct; over_raw; over_raw_plot)],
	sequential: [show($form; columns({"direct-read-1m": "read", "direct-write-1m": "write"});
		candidates.direct; and_rate("raw"); mine)],
	buffered: [show($form; columns({"cached-read": "read, cached", "cached-write": "write, cached",
			"uncached-read": "read, uncached", "uncached-write": "write, uncached"});
		candidates.buffered; and_rate("loop-buffered"); mine)],
	memfd: [show($form; columns({"memfd-read": "read", "memfd-write": "write"});
		candidates.buffered; and_rate("loop-buffered"); mine)],
	fsync: [show($form; columns({"fsync-write": "write + fsync"}); candidates.all;
		over_raw; mine)],
	populate: [show($form; columns({"populate-xfs": "XFS", "populate-ext4": "ext4"});
		candidates.all; giga("loop-direct"); mine_in(1e9))],
	devices: [show($form; columns({"create-spaced": "create", "close-spaced": "close",
			"create-in-a-row": "create in a row", "close-in-a-row": "close in a row"});
		candidates.devices; thousands; mine_in(1e3))],
	live: [show($form; columns({"live-create-1": "1", "live-create-100": "100",
			"live-create-1000": "1,000", "live-create-10000": "10,000"});
		candidates.devices; thousands; mine_in(1e3))],
	memory: [show($form; columns({"live-memory-1000": "1,000", "live-memory-10000": "10,000"});
		candidates.devices; thousands; mine_in(1e3))],
	jobs: [show($form; columns({"jobs-read": "read", "jobs-write": "write"});
		candidates.all; scaling as $scaling | share_of_scaling as $share |
			when($scaling; "\($scaling) (\($share))"); pairs)]
};

map(.name = (.kernel | split(".")[:2] | join("."))) | topics($form)[$topic][]
