# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by run.sh when all is over: $ended is QEMU's or timeout's status.

complaints='WARNING:|BUG:|kernel BUG|Oops|[Gg]eneral protection fault|Kernel panic'
complaints+='|INFO: (possible|task .* blocked|trying to register|lockdep)|suspicious RCU'
complaints+='|rcu: INFO|stall on CPU|detected stall|KASAN|UBSAN|KFENCE|refcount_t'
complaints+='|cannot create duplicate|(list|plist)_(add|del)|ODEBUG|[Bb]ad page|LOCKUP'
complaints+='|DEBUG_LOCKS|scheduling while atomic|inconsistent lock|nobody cared'
complaints+='|[1-9][0-9]* new suspected memory leaks|kobject.*initialized|usercopy:'

tr -d '\r' <"$run/log" >"$run/kernel.log"
: >>"$run/host/expect"
grep -nE "$complaints" "$run/kernel.log" |
	grep -vE -f <(grep . "$run/host/expect") >"$run/complaints" || true
if [ -s "$run/complaints" ]; then
	say "the kernel complained:"
	cut -d: -f2- "$run/complaints" >&2
	first=$(head -n 1 "$run/complaints" | cut -d: -f1)
	say "its log from there:"
	tail -n +$((first > 3 ? first - 3 : 1)) "$run/kernel.log" | head -n 80 >&2
fi
if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then
	tail -n 60 "$run/kernel.log" >&2
	die 124 "not done after $limit s; above is the end of the kernel log"
fi
if [ -s "$run/host/failure" ]; then
	cat "$run/host/failure" >&2
fi
if [ ! -s "$run/host/status" ]; then
	tail -n 60 "$run/kernel.log" >&2
	die 125 "the guest died (QEMU: $ended); above is the end of the kernel log"
fi
[ ! -s "$run/complaints" ] || exit 125
exit "$(cat "$run/host/status")"
