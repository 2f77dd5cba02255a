#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# build.sh SERIES [COPY]: builds the project for that kernel, in the Debian 13
# root, from a mirror of the tree in the cache. COPY, an empty directory, gets
# the result, which a later build does not touch.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$here/kernel.sh"

series=$1
copy=${2:-}
targets="modules lib tools examples selftests bench-programs"

build()
{
	local options=(-j"$(nproc)" -Otarget "KDIR=$kernel_build" "KSELFTEST=$KSELFTEST")

	# shellcheck disable=SC2086 # targets are words
	if [ "$series" = native ]; then
		make -C "$mirror" "${options[@]}" $targets
	else
		in_root "${places[@]}" -- make -C /blkfd "${options[@]}" $targets
	fi
}

kernel_find "$series"
room=$cache/build-$series-$(echo "$tree ${root:-} ${kernel:-} $kernel_build" | hash_of -)
mirror=$room/blkfd
places=("$mirror=/blkfd")
[ -z "${kernel:-}" ] || places+=("$kernel/build=$kernel_build")
mkdir -p "$mirror"
exec 9>"$room/lock"
flock 9

# What has changed is of now, and not older than what was built from it before.
changed=$(as_root rsync -ac --no-times --delete --exclude=/.git --filter=':- .gitignore' \
	--out-format=%n "$tree/" "$mirror/")
if [ -n "$changed" ] || [ ! -e "$room/built" ]; then
	rm -f "$room/built"
	progress "building for $series" build || exit 123
	touch "$room/built"
fi
[ -z "$copy" ] || cp -a --reflink=auto "$mirror/." "$copy/"
