#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh KERNEL...: all tests on each of these kernels ("native": on this very
# machine), and the sum of their results on the last line.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=$(mktemp -d)
declare -A jobs=()
passed=0 failed=0 skipped=0

clean_up()
{
	[ ${#jobs[@]} = 0 ] || { kill "${jobs[@]}" && wait; } 2>/dev/null || true
	rm -r "$logs"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# An emulated guest keeps one processor of this machine busy.
machines_at_once()
{
	local processors available

	processors=$(nproc)
	available=$(($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) / 1024 / memory))
	echo $((processors < available ? processors : available))
}

start()
{
	local kernel=$1 options

	[ -z "${jobs[$kernel]:-}" ] || return 0
	case $kernel in
	native) options=(-t 3000) ;;
	*-debug) options=(-k "$kernel" -t 30000 -m "$memory") ;;
	*) options=(-k "$kernel" -t 3000 -m "$memory") ;;
	esac
	: >"$logs/$kernel"
	selftests/qemu/run.sh "${options[@]}" -- selftests/run-all.sh >>"$logs/$kernel" 2>&1 &
	jobs[$kernel]=$!
}

count()
{
	grep -c -- "$1" "$logs/$2" || true
}

# Shows what a run says, from its beginning, until it ends. One that fails beyond its
# tests, by what the kernel log says, is a failure more, as is one that did not get to
# its end.
finish()
{
	local kernel=$1 status=0 ok=0 bad=0 skip=0

	printf '\n=== all tests, kernel %s\n' "$kernel"
	tail -n +1 -f -s 0.1 --pid "${jobs[$kernel]}" "$logs/$kernel" &
	wait "$!"	# which a signal ends
	wait "${jobs[$kernel]}" || status=$?
	unset "jobs[$kernel]"
	read -r ok bad skip < <(sed -n \
		's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$logs/$kernel" | tail -n 1) || {
		skip=$(count '^ok .*# SKIP' "$kernel")
		ok=$(($(count '^ok ' "$kernel") - skip))
		bad=$(($(count '^not ok ' "$kernel") + 1))
	}
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	[ "$status" -lt 123 ] || bad=$((bad + 1))
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

memory=3072
[[ "$*" != *-debug* ]] || memory=4096
places=$(machines_at_once)
while [ $# -gt 0 ]; do
	for kernel in "${@:1:places > 0 ? places : 1}"; do
		start "$kernel"
	done
	finish "$1"
	shift
done

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
