# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by what runs the command, in a guest or on this very machine.

. "$(dirname "${BASH_SOURCE[0]}")/../devices.sh"

# Closed devices go away in the background: waits for them, but not for ever.
module_unload()
{
	local tries=$((300 * ${TEST_SLOWDOWN:-1}))

	[ -d /sys/module/blkfd ] || return 0
	while [ -n "$(devices)" ] && [ $((tries--)) -gt 0 ]; do
		sleep 0.1
	done
	rmmod blkfd && return
	echo "rmmod failed, $(cat /sys/module/blkfd/refcnt) references, devices:" \
		"$(devices | xargs)" >&2
	return 1
}
