#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# quick.sh KERNEL...: measures blkfd alone, once, and says what takes over 3 % more
# than docs/bench says. Fails if something does.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# compare KERNEL: what is worse, then a line for all. More is always worse here.
compare()
{
	jq -L "$bench" -rs --slurpfile committed "$documents/bench/$1.json" --arg name "$1" '
		include "results";
		$committed[0] as $old |
		([.[].kernel // empty][0]) as $kernel |
		([.[] | select(.case)] | results | map(
			. + {now: (.values | median), before: (. as $now | $old |
				value($now.case; $now.candidate))})) as $all |
		($all | map(select(.before == null))) as $new |
		($all | map(select(.before and .now > .before * 1.03))) as $worse |
		(if $kernel != $old.kernel then
			"\($kernel): docs/bench is of \($old.kernel)" else empty end),
		($new[] | "\($name): \(.case) \(.candidate): not in docs/bench"),
		($worse[] | "\($name): \(.case) \(.candidate): \(.before | grouped) before, " +
			"\(.now | grouped) now, \((.now / .before - 1) * 100 | fixed(1)) % worse"),
		"\($name): \($all | length) compared, \($worse | length) worse by over 3 %",
		($worse | length == 0)' "$scratch/$1.samples"
}

on_kernels "$@" -- -n 1 -c 'blkfd*' 'direct-*' '*cached-*' 'memfd-*' fsync-write \
	populate-xfs spaced in-a-row
worse=0
for kernel in "$@"; do
	if [ ! -e "$documents/bench/$kernel.json" ]; then
		say "docs/bench has no results of $kernel: make bench measures them"
		worse=1
		continue
	fi
	compare "$kernel" | tee "$scratch/compared" | sed '$d'
	[ "$(tail -n 1 "$scratch/compared")" = true ] || worse=1
done
exit $worse
