# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by run.sh: runs the command on this very machine, in a mount namespace
# that has the same things at the same places as the guest. Leaves what vm.sh does.
. "$here/module.sh"

[[ ! $asked =~ [kmcip] ]] || die 2 "NATIVE=1 leaves no choice of: kernel, memory, processors"
[ "$EUID" = 0 ] || die 2 "NATIVE=1 needs root"
[ ! -d /sys/module/blkfd ] || die 2 "NATIVE=1: blkfd is loaded already, someone may be using it"

# A disk for the tests to write to, and never one of the machine's. Goes with the
# descriptor that has it open.
make_scratch()
{
	truncate -s 8G "$run/scratch"
	TEST_DISK=$(losetup --find --show "$run/scratch")
	export TEST_DISK
	exec 7<"$TEST_DISK"
	losetup --detach "$TEST_DISK"
}

# In the background, so that run.sh's traps need not wait for its end, but not with
# SIGINT ignored, as bash has it there.
run_native()
{
	# shellcheck disable=SC2016 # for the inner shell
	exec env --default-signal=INT timeout --kill-after=5 "$limit" unshare --mount bash -euc '
		run=$1 share=$2
		shift 2
		mount --bind "$run/blkfd" /blkfd
		mount --bind "$run/host" /run/blkfd
		[ -z "$share" ] || mount --bind "$share" /share
		mkdir "$run/upper" "$run/work"
		mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$run/upper,workdir=$run/work" \
			overlay /usr/sbin
		ln -sf /blkfd/tools/mount.blkfd /usr/sbin/mount.blkfd
		cd /blkfd
		export PATH=/blkfd/tools:/blkfd/examples:$PATH
		exec "$@"
	' - "$run" "$share" "$@" </dev/null 7<&-
}

# Also by run.sh's trap, if it is told to end.
leave_native()
{
	local status=0

	leave=
	module_unload || status=125
	[ ${#made[@]} = 0 ] || rmdir "${made[@]}"
	return "$status"
}

mkdir "$run/blkfd" "$run/host"
"$here/build.sh" native "$run/blkfd" || exit 123
made=()
leave=leave_native
for place in /blkfd /run/blkfd /share; do
	[ -d "$place" ] || { mkdir "$place" && made+=("$place"); }
done
make_scratch
echo "run.sh: starts $run" >/dev/kmsg
ended=0
if [ -n "$load" ] && ! insmod "$run/blkfd/kernel/blkfd.ko" 2>"$run/host/failure"; then
	echo 125 >"$run/host/status"
else
	run_native "$@" &
	job=$!
	wait "$job" && status=0 || status=$?
	job=
	[ "$status" != 124 ] || ended=124
	leave_native 2>"$run/host/failure" || status=$?
	echo "$status" >"$run/host/status"
fi
dmesg >"$run/dmesg"
grep -q "run.sh: starts $run" "$run/dmesg" || die 125 "the kernel log overflowed: no verdict"
sed "1,\|run.sh: starts $run|d" "$run/dmesg" >"$run/log"
