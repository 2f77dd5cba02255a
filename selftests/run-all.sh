#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run-all.sh [NAME...]: runs the test programs (all that a source here names),
# each under a time limit, and adds up their TAP. A program that crashes, runs
# out of time, breaks its plan or leaves a device or a mount is one failure more.
# TEST_LIMIT: the seconds that each may take; TEST_ROUNDS: see testlib.h.
set -euo pipefail
cd "$(dirname "$0")"
. ./devices.sh

# Cheap and basic ones first; programs not named here come last. user before containers,
# whose programs leave cgroups that keep a controller from being turned off.
order=(ioctl identity visibility life spares resize library io inline command mount mountfd stacking mkimage user)
slowdown=${TEST_SLOWDOWN:-1}
limit=$((${TEST_LIMIT:-1200} * slowdown))

log=$(mktemp)
trap 'rm -f "$log"' EXIT
table=()
remarks=()
passed=0 failed=0 skipped=0

all_programs()
{
	local source names=("${order[@]}")

	for source in *.c; do
		[ "$source" = testlib.c ] || [[ " ${order[*]} " = *" ${source%.c} "* ]] ||
			names+=("${source%.c}")
	done
	for source in "${names[@]}"; do
		[ ! -e "$source.c" ] || echo "$source"
	done
}

# What a program must not leave behind: devices, and mounts that we can see.
leftovers()
{
	devices
	cut -d ' ' -f 3,5 /proc/self/mountinfo | sort
}

# A device goes away a little after its last reference.
gone_within()
{
	local end=$((SECONDS + $1)) before=$2

	while [ "$(leftovers)" != "$before" ]; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

count()
{
	grep -c -- "$1" "$log" || true
}

# judge NAME STATUS BEFORE: adds the program to the totals and the table.
judge()
{
	local name=$1 status=$2 ok bad skip plan extra=0

	skip=$(count '^ok .*# SKIP')
	ok=$(($(count '^ok ') - skip))
	bad=$(count '^not ok ')
	plan=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$log" | head -n 1)
	while read -r line; do
		remarks+=("$name: $line")
	done < <(grep -e '^not ok ' -e '^ok .*# SKIP' "$log" || true)

	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		extra=1 remarks+=("$name: ran out of time")
	elif [ -z "$plan" ]; then
		extra=1 remarks+=("$name: no plan, status $status")
	elif [ "$plan" != $((ok + bad + skip)) ] || { [ "$status" != 0 ] && [ "$bad" = 0 ]; }; then
		extra=1 remarks+=("$name: $((ok + bad + skip)) of $plan results, status $status")
	fi
	if ! gone_within $((30 * slowdown)) "$3"; then
		extra=$((extra + 1))
		remarks+=("$name: changed what is there: $(diff <(echo "$3") <(leftovers) |
			grep '^[<>]' | xargs)")
	fi
	bad=$((bad + extra))
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	table+=("$(printf '%-12s %6d %6d %7d %6d s' "$name" "$ok" "$bad" "$skip" \
		$((SECONDS - start)))")
}

run()
{
	local name=$1 status=0 start=$SECONDS before pid

	before=$(leftovers)
	echo "# $name"
	if [ -x "./$name" ]; then
		timeout --kill-after=10 "$limit" "./$name" \
			</dev/null >"$log" 2>&1 & pid=$!
		# Not a pipe: a stray child that holds it open would stop us here.
		tail -n +1 -f -s 0.1 --pid "$pid" "$log"
		wait "$pid" || status=$?
	else
		echo "# there is no program $name" | tee "$log"
		status=127
	fi
	judge "$name" "$status" "$before"
}

names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(all_programs)
for name in "${names[@]}"; do
	run "$name"
done

echo
[ ${#remarks[@]} = 0 ] || printf '%s\n' "${remarks[@]}" ''
printf '%-12s %6s %6s %7s %8s\n' program passed failed skipped time
[ ${#table[@]} = 0 ] || printf '%s\n' "${table[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
