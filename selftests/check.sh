#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh KERNEL...: all tests on each of these kernels ("native": on this very
# machine), and the sum of their results on the last line.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

# A run that fails beyond its tests, by what the kernel log says, is a failure more.
add_up()
{
	local status=$1 ok=0 bad=0 skip=0

	read -r ok bad skip < <(sed -n \
		's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$log" | tail -n 1) || true
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	[ "$status" -lt 123 ] || bad=$((bad + 1))
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

for kernel in "$@"; do
	case $kernel in
	native) options=(-t 2400) ;;
	*-debug) options=(-k "$kernel" -t 24000) ;;
	*) options=(-k "$kernel" -t 2400 -m 3072) ;;
	esac
	printf '\n=== all tests, kernel %s\n' "$kernel"
	status=0
	selftests/qemu/run.sh "${options[@]}" -- selftests/run-all.sh | tee "$log" || status=$?
	add_up "$status"
done

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
