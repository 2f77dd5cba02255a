#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mmdebstrap's last step, in the new root $1: kernels with their headers, and
# from the kernel's source what the tests and the checks are run with.
# The image packages are unpacked and not installed: nobody boots from /boot
# there, and their scripts would make an initramfs each.
set -euo pipefail

root=$1
scratch=$root/var/tmp/kernels
mkdir "$scratch"

# newest SERIES: the newest Debian 13 kernel of it that apt knows.
newest()
{
	chroot "$root" apt-cache pkgnames "linux-image-$1." |
		sed -nE "s/^linux-image-($1\.[0-9]+\+deb13(\.[0-9]+)?-amd64)$/\1/p" |
		sort -V | tail -n 1
}

# download PACKAGE...: into the scratch directory.
download()
{
	chroot "$root" sh -c 'cd /var/tmp/kernels && apt-get download -qq "$@"' - "$@"
}

# The packages of kernel $1 that exist: 7.3's are split more finely than 6.12's.
packages_of()
{
	local common=${1%-amd64} name

	for name in linux-{image,binary,modules,base,headers}-"$1" \
		"linux-headers-$common-common" "linux-kbuild-$common"; do
		chroot "$root" apt-cache show "$name" >/dev/null 2>&1 && echo "$name"
	done
}

# The compressed kernel in a bzImage is found by its setup header; as plain ELF
# it boots by PVH, which saves the emulation from unpacking it.
unpack_image()
{
	local image=$1 sectors offset length

	sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$image")
	offset=$(od -An -tu4 -j $((0x248)) -N 4 "$image")
	length=$(od -An -tu4 -j $((0x24c)) -N 4 "$image")
	# The last four bytes are the unpacked size, not part of the stream.
	dd if="$image" iflag=skip_bytes,count_bytes status=none \
		skip=$(((sectors + 1) * 512 + offset)) count=$((length - 4)) |
		chroot "$root" zstd -dc
}

add_kernel()
{
	local version packages boot=$root/boot/$1 unpacked=$scratch/unpacked

	version=$(newest "$1")
	[ -n "$version" ] || { echo "apt knows no kernel $1" >&2; return 1; }
	mapfile -t packages < <(packages_of "$version")
	download "${packages[@]}"
	for package in "$scratch"/*.deb; do
		dpkg-deb -x "$package" "$unpacked"
		rm "$package"
	done
	mkdir "$boot"
	echo "$version" >"$boot/version"
	unpack_image "$(find "$unpacked" -name 'vmlinuz*' -type f)" >"$boot/vmlinux"
	rm -rf "${unpacked:?}"/{boot,usr/share}
	cp -a "$unpacked/." "$root/"
	rm -rf "$unpacked"
	chroot "$root" depmod "$version"
}

# unpack_source SERIES MEMBER...: those of the kernel's source, below the scratch
# directory's source/.
unpack_source()
{
	local top=linux-source-$1

	shift
	download "$top"
	mkdir "$scratch/source"
	dpkg-deb --fsys-tarfile "$scratch/$top"_*.deb | tar -xO "./usr/src/$top.tar.xz" |
		chroot "$root" xz -dc -T0 |
		tar -x -C "$scratch/source" --strip-components=1 "${@/#/$top/}"
	rm "$scratch/$top"_*.deb
}

# What the series' headers come without, though their Makefile knows the targets.
# Two of Coccinelle's checks go, as they are in OCaml and want its compiler, 100 MB:
# one is of a charger's driver, of the other's subject sparse complains, too.
add_checks()
{
	rm "$scratch"/source/scripts/coccinelle/{api/check_bq27xxx_data,null/badzero}.cocci
	mv "$scratch"/source/scripts/* "$root"/usr/src/linux-headers-"$1".*-common/scripts/
	rm -r "$scratch/source"
}

add_source_parts()
{
	local parts="$root/usr/src"

	unpack_source 6.12 scripts/{coccicheck,coccinelle}
	add_checks 6.12
	unpack_source 7.3 scripts/{coccicheck,coccinelle,checker-valid.sh} \
		scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} \
		tools/testing/selftests/{kselftest.h,kselftest_harness.h,ublk}
	mkdir -p "$parts/kselftest" "$parts/checkpatch"
	mv "$scratch"/source/tools/testing/selftests/* "$parts/kselftest/"
	mv "$scratch"/source/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} \
		"$parts/checkpatch/"
	add_checks 7.3
}

# The kernel's own ublk server, which drives ublk_drv of older kernels, too. Of the
# kernel's headers it gets those that are newer than libc's, and no others.
build_kublk()
{
	# shellcheck disable=SC2016 # for the inner shell
	chroot "$root" sh -euc '
		cd /usr/src/kselftest/ublk
		mkdir linux
		for name in fs.h io_uring.h io_uring ublk_cmd.h; do
			ln -s /usr/src/linux-headers-7.3.*-common/include/uapi/linux/$name linux/
		done
		rm metadata_size.c
		gcc -O3 -D_GNU_SOURCE -isystem . -o /usr/local/sbin/kublk *.c -luring -lpthread'
}

add_kernel 6.12
add_kernel 7.3
add_source_parts
build_kublk
mkdir "$root/blkfd" "$root/share" "$root/overlay"
rm -rf "$scratch"
