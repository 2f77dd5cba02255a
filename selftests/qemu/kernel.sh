# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced after common.sh: the one place that knows which kernels there are.

# shellcheck disable=SC2034 # for the scripts that source this
kernels="6.12 7.3 6.12-debug 7.3-debug 6.12-kcsan 7.3-kcsan"

# kernel_find SERIES sets:
# root		the Debian 13 root
# kernel	of one that is built here, its directory; else empty
# kernel_image	what QEMU boots
# kernel_version	its release
# kernel_build	what KDIR is, inside the root
# KSELFTEST	where the headers of the kernel's own tests are, inside the root
# For "native", this machine, only the last two, and outside of any root.
kernel_find()
{
	KSELFTEST=${KSELFTEST:-}
	if [ "$1" = native ]; then
		kernel_build=/lib/modules/$(uname -r)/build
		[ -n "$KSELFTEST" ] || KSELFTEST=$("$here/root.sh")/usr/src/kselftest
		return
	fi
	root=$("$here/root.sh")
	KSELFTEST=/usr/src/kselftest
	kernel=
	if [[ $1 = *-* ]]; then
		kernel=$("$here/built-kernel.sh" "$1")
		kernel_image=$kernel/vmlinux
		kernel_version=$(ls "$kernel/lib/modules")
		kernel_build=/mnt
	else
		kernel_image=$root/boot/$1/vmlinux
		kernel_version=$(cat "$root/boot/$1/version")
		kernel_build=/usr/lib/modules/$kernel_version/build
	fi
}

# kernel_initramfs SERIES: makes it if need be, sets kernel_initramfs.
kernel_initramfs()
{
	kernel_initramfs=$cache/initramfs-$1-$(
		echo "$root $kernel $kernel_version" | hash_of - "$here"/{kernel.sh,init}).cpio
	[ -e "$kernel_initramfs" ] || make_initramfs "$kernel_initramfs"
}

make_initramfs()
{
	local stage

	stage=$(mktemp -d)
	mkdir -p "$stage"/{bin,dev,proc,sys,lower,cow,new,modules}
	cp "$root/bin/busybox" "$stage/bin/"
	cp "$here/init" "$stage/init"
	add_modules "$stage"
	[ -z "$kernel" ] || cp -r "$kernel/lib" "$stage/"
	(cd "$stage" && find . | ./bin/busybox cpio -o -H newc) >"$1.$$" 2>/dev/null
	mv "$1.$$" "$1"
	rm -rf "$stage"
}

# With all that they need, in the order that insmod wants; none if built in.
add_modules()
{
	local module list

	: >"$1/modules/order"
	list=$(for module in virtio_pci virtio_blk virtio_console 9pnet_virtio 9p overlay; do
		/sbin/modprobe -d "${kernel:-$root}" -S "$kernel_version" --show-depends "$module"
	done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }')
	for module in $list; do
		"$root/bin/busybox" xz -dc "$module" >"$1/modules/$(basename "$module" .xz)"
		basename "$module" .xz >>"$1/modules/order"
	done
}
