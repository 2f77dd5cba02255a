# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by run.sh: runs the command in QEMU. Leaves in $run: log, the kernel's;
# status, if the guest came to its end; failure, what it has to say about it.

# KVM counts as there only if a processor can be made with it, and one that is not
# emulated in its turn: PVM, which wants no VMX or SVM, dies of kernels not made for it.
have_kvm()
{
	[ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo && echo quit |
		timeout 10 qemu-system-x86_64 -accel kvm -cpu host -machine q35 -nodefaults \
			-display none -S -monitor stdio >/dev/null 2>&1
}

# Emulated processors take turns: at once, one can run into another's breakpoint
# after the kernel has taken it back from its code (a static key, a livepatch), and
# the guest dies of an int3 that nobody knows.
accelerator()
{
	local turns=single

	[ -z "$at_once" ] || turns=multi
	if [ -n "$counting" ]; then
		echo -accel tcg,thread=single -icount shift=0,sleep=off -seed 1
	elif have_kvm; then
		echo -accel kvm -cpu host
	else
		echo -accel tcg,thread=$turns -cpu qemu64,+rdrand
	fi
}

# add_tree TAG DIR OPTIONS: DIR of this machine, for the guest to mount as TAG
add_tree()
{
	qemu+=(-fsdev "local,id=$1,path=${2//,/,,},multidevs=remap,$3"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# A file never makes the guest wait, whoever reads our output; tail passes it on.
add_output()
{
	: >"$run/$1"
	qemu+=(-chardev "file,id=$1,path=$run/$1" -device "virtserialport,chardev=$1,nr=$2")
}

# This machine may stand still, or have others to serve: to the guest all of that is a
# processor that does nothing.
start_vm()
{
	local owner=none
	local patience="rcupdate.rcu_cpu_stall_timeout=100 watchdog_thresh=50 workqueue.watchdog_thresh=100"

	[ "$EUID" != 0 ] || owner=passthrough
	read -ra qemu < <(accelerator)
	qemu+=(-machine q35 -m "$memory" -smp "$cpus" -nodefaults -no-user-config
		-display none -no-reboot -kernel "$kernel_image" -initrd "$kernel_initramfs"
		-append "console=ttyS0 cryptomgr.notests panic=-1 oops=panic printk.devkmsg=on nokaslr $patience"
		-chardev "file,id=log,path=$run/log" -serial chardev:log
		-drive "file=$run/scratch,format=raw,if=virtio,cache=unsafe,discard=unmap"
		-device virtio-serial-pci)
	add_output out 1
	add_output err 2
	add_tree root "$root" security_model=none,readonly=on
	add_tree blkfd "$run/blkfd" security_model=none,readonly=on
	add_tree run "$run/host" security_model=none
	[ -z "$share" ] || add_tree share "$(realpath "$share")" "security_model=$owner"
	setpriv --pdeathsig KILL timeout --kill-after=5 "$limit" \
		setpriv --pdeathsig KILL qemu-system-x86_64 "${qemu[@]}" </dev/null &
	job=$!
}

mkdir "$run/blkfd" "$run/host"
# shellcheck disable=SC2046 # a list
need_host_packages $(package_list "$here/host-packages")
"$here/build.sh" "$series" "$run/blkfd" || exit 123
kernel_find "$series"
kernel_initramfs "$series"
truncate -s 8G "$run/scratch"
: >"$run/log"
printf '%s\0' "$@" >"$run/host/args"
[ -z "$load" ] || : >"$run/host/load"
[ -z "$share" ] || : >"$run/host/share"

start_vm
tail -s 0.1 --pid="$job" -c +1 -f "$run/out" &
tail -s 0.1 --pid="$job" -c +1 -f "$run/err" >&2 &
wait "$job" && ended=0 || ended=$?
job=
wait
