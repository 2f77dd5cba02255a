#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# built-kernel.sh SERIES-FLAVOUR: prints the directory of that kernel made to find bugs,
# from Debian's source and the .config files here, by the compiler of the guest's root:
# vmlinux	what QEMU boots
# build		what KDIR is
# lib/modules	what modprobe needs to know of what is built in
# Made once, and again whenever the recipe, the options or the series' newest
# version change.
set -euo pipefail
. "$(dirname "$0")/common.sh"

series=${1%-*}
root=$("$here/root.sh")
options=("$here/built.config" "$here/built-$series.config" "$here/${1##*-}.config")
kernel=$cache/kernel-$1-$(hash_of "$0" "${options[@]}" "$root/boot/$series/version")
room=$kernel.new
build=$room/build

# This machine's apt, with the sources of the root, into the new directory.
apt_of_root()
{
	(cd "$room" && as_root apt-get -qq -o "Dir=$root" -o "Dir::State=$room/apt" \
		-o "Dir::State::status=$root/var/lib/dpkg/status" \
		-o "Dir::Cache=$room/apt" -o APT::Architecture=amd64 \
		-o APT::Sandbox::User=root "$@")
}

get_source()
{
	local name=linux-source-$series

	mkdir -p "$room"/apt/{lists,archives}/partial
	apt_of_root update
	apt_of_root download "$name"
	mkdir "$build"
	dpkg-deb --fsys-tarfile "$room/$name"_*.deb | tar -xO "./usr/src/$name.tar.xz" |
		as_root chroot "$root" xz -dc -T0 | tar -x --strip-components=1 -C "$build"
	as_root rm -rf "$room/apt" "$room/$name"_*.deb
}

# A PVH kernel calls memcmp() before it has the shadow memory that KASAN's checks
# look at, and dies of it: string.o goes without. What is watched for data races is
# our modules alone, and each of their accesses so much the more often.
make_in_root()
{
	in_root "$build=/mnt" -- make -C /mnt -j"$(nproc)" KASAN_SANITIZE_string.o=n \
		KCSAN_SANITIZE=n "$@"
}

# Kconfig drops without a word what depends on something that is not there.
check_options()
{
	local line name lost=()

	while read -r line; do
		name=${line#\# }
		case $line in
		CONFIG_*) grep -qxF -- "$line" "$build/.config" || lost+=("$line") ;;
		"# CONFIG_"*) ! grep -q "^${name%% *}=" "$build/.config" || lost+=("$line") ;;
		esac
	done < <(cat "${options[@]}")
	[ ${#lost[@]} = 0 ] || { printf 'not so in the end: %s\n' "${lost[@]}"; return 1; }
}

configure()
{
	cat "${options[@]}" >"$build/.config"
	make_in_root olddefconfig
	check_options
}

# Modules are built against headers, tools and symbols: the objects may go.
compile()
{
	make_in_root vmlinux modules
	make_in_root INSTALL_MOD_PATH=/mnt/installed modules_install
	as_root mv "$build/installed/lib" "$room/lib"
	in_root "$build=/mnt" -- objcopy --strip-all /mnt/vmlinux /mnt/vmlinux.stripped
	as_root mv "$build/vmlinux.stripped" "$room/vmlinux"
	as_root rm "$build/vmlinux"
	as_root find "$build" \( -path "$build/scripts" -o -path "$build/tools" \) -prune -o \
		\( -name '*.[ao]' -o -name '.*.cmd' -o -name '.tmp_vmlinux*' \) -exec rm {} +
}

make_kernel()
{
	# shellcheck disable=SC2046 # a list
	need_host_packages $(package_list "$here/host-packages")
	as_root rm -rf "$room"
	mkdir "$room"
	progress "getting the source of $series" get_source
	progress "configuring ${kernel##*/}" configure
	progress "building ${kernel##*/}, up to an hour" compile
	as_root mv "$room" "$kernel"
}

if [ ! -d "$kernel" ]; then
	exec 9>"$kernel.lock"
	flock -n 9 || { say "waiting for another that builds this kernel"; flock 9; }
	[ -d "$kernel" ] || make_kernel
fi
echo "$kernel"
