#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Process 1 of the guest: runs the command that run.sh left in /run/blkfd,
# leaves its status there and powers off.
set -uo pipefail
cd /blkfd || exit
# shellcheck source=module.sh
. selftests/qemu/module.sh
host=/run/blkfd
kmemleak=/sys/kernel/debug/kmemleak
kcsan=/sys/kernel/debug/kcsan
export PATH=/blkfd/tools:/blkfd/examples:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
export TEST_DISK=/dev/vda HOME=/root LANG=C.UTF-8 TERM=dumb

# Of a kernel made to find bugs, that many times what the tests allow for.
if [ -e $kmemleak ] || [ -e $kcsan ]; then
	export TEST_SLOWDOWN=10
fi

# In a cgroup, as systemd has it: all its workers have one share of the processors.
# /dev/vda is shown to it, so that it watches it; the rest need not be.
start_udevd()
{
	local tries=$((1500 * ${TEST_SLOWDOWN:-1})) cgroup=/sys/fs/cgroup/udevd

	mkdir $cgroup
	(
		echo 0 >$cgroup/cgroup.procs
		exec /usr/lib/systemd/systemd-udevd --daemon
	)
	echo add >/sys/block/vda/uevent
	until compgen -G '/run/udev/data/b*' >/dev/null || [ $((tries--)) = 0 ]; do
		read -rt 0.02 <>/run/out
	done
}

# The command writes to pipes, which it may reopen; the ports it could not.
# What it leaves running may keep them open: it does not get to keep us.
run_command()
{
	local copiers=() args watch status=0

	mapfile -d '' -t args <$host/args
	busybox cat /run/out >"$(compgen -G '/dev/vport*p1')" & copiers+=($!)
	busybox cat /run/err >"$(compgen -G '/dev/vport*p2')" & copiers+=($!)
	setsid "${args[@]}" </dev/null >/run/out 2>/run/err || status=$?
	{
		sleep $((30 * ${TEST_SLOWDOWN:-1}))
		echo "guest.sh: the command left processes with its output open" >/dev/kmsg
		kill "${copiers[@]}"
	} & watch=$!
	wait "${copiers[@]}"
	kill $watch 2>/dev/null
	return $status
}

# Shows what has leaked in the kernel log. An object counts only if it is some
# seconds old, and a second look tells a leak from a pointer on its way.
find_leaks()
{
	local line

	[ -e $kmemleak ] || return 0
	sleep 6
	echo scan >$kmemleak
	echo scan >$kmemleak
	while read -r line; do
		echo "guest.sh: leak: $line" >/dev/kmsg
	done <$kmemleak
	echo clear >$kmemleak
}

finish()
{
	echo "$1" >$host/status
	[ ! -e $host/share ] || sync -f /share
	exec busybox poweroff -nf
}

start_udevd
[ ! -e $kmemleak ] || echo clear >$kmemleak
if [ -e $host/load ]; then
	insmod /blkfd/kernel/blkfd.ko 2>$host/failure || finish 125
fi
echo "guest.sh: the command starts" >/dev/kmsg
run_command 2>/dev/console
status=$?
find_leaks
module_unload 2>$host/failure || status=125
find_leaks
finish $status
