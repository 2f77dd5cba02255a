#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# root.sh DIR: makes DIR the root of a container: a shell, blkfd, what it takes to make
# an ext4 and to look at it, and the libraries of all that.
set -euo pipefail

root=$1
programs="blkfd cat debugfs dirname e2fsck id mkdir mkfs.ext4 sh sleep"

mkdir -p "$root"/{bin,dev,etc,lib,lib64,proc,run,sys,tmp,usr,work}
for link in sbin usr/bin usr/sbin; do
	ln -s /bin "$root/$link"
done
ln -s /lib "$root/usr/lib"
for name in $programs; do
	path=$(command -v "$name")
	cp -L "$path" "$root/bin/"
	LD_TRACE_LOADED_OBJECTS=1 "$path"
done | awk '$3 ~ "^/" { print $3 }' | sort -u | xargs cp -Lt "$root/lib"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
echo "root:x:0:0::/:/bin/sh" >"$root/etc/passwd"
echo "ID=blkfd" >"$root/etc/os-release"
touch "$root/dev/blkfd"
