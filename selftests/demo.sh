#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What make demo shows: an XFS image built from a tree of 5,000 files or more. One
# build is killed half-way and leaves nothing, another is checked and compared.
# All happens in a tmpfs of a private mount namespace: of that nothing is left either.
set -euo pipefail

# unshare makes the new namespace's mounts private.
[ -n "${BLKFD_DEMO:-}" ] || BLKFD_DEMO=1 exec unshare --mount -- "$0" "$@"

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=devices.sh
. "$here/devices.sh"
PATH=$here/../tools:$here/../examples:$PATH
work=/mnt
image=$work/image.xfs

say()
{
	printf '%4d s  %s\n' "$SECONDS" "$*"
}

die()
{
	say "FAILED: $*" >&2
	exit 1
}

mib()
{
	echo "$((($1 + (1 << 19)) >> 20)) MiB"
}

count_files()
{
	find "$1" -xdev ! -type d | wc -l
}

# Prints how many files are in directory $1, how many have contents, and how much.
measure()
{
	find "$1" -xdev ! -type d -printf '%y %i %s\n' | awk '
		{ files++ }
		$1 == "f" && $3 && !seen[$2]++ { writes++; bytes += $3 }
		END { print files, writes, bytes }'
}

# Sets tree: the first that is there and has 5,000 files, which headers have.
find_tree()
{
	for tree in /usr/src/linux-headers-*-common/include /usr/share /usr/lib; do
		[ -d "$tree" ] || continue
		read -r files writes bytes < <(measure "$tree")
		[ "$files" -lt 5000 ] || return 0
	done
	die "no directory with 5,000 files in /usr/src, /usr/share or /usr/lib"
}

free_space()
{
	df --output=avail -B1 $work | tail -n 1
}

# Everything that a build could leave, one thing a line.
leftovers()
{
	devices
	find $work -mindepth 1 ! -path $work/mnt
	[ "$(free_space)" = "$free" ] || echo "$((free - $(free_space))) bytes of space"
	diff <(echo "$mounts") <(cut -d ' ' -f 3- /proc/self/mountinfo) || true
}

# The device's last trace goes a moment after the device.
nothing_left()
{
	local left tries

	for ((tries = 0; tries < 100; tries++)); do
		left=$(leftovers)
		[ -n "$left" ] || break
		sleep 0.1
	done
	[ -z "$left" ] || die "left behind: $left"
	say "left behind: no device, no mount, no file, no space taken"
}

# How many writes process $1 has made: one for each file with contents, if it is not
# large. Of the task alone: the process' own count has those of mkfs in it.
written()
{
	sed -n 's/^syscw: //p' "/proc/$1/task/$1/io" 2>/dev/null || true
}

# Until process $1 has ended or made $2 writes, tells how far it is.
watch_build()
{
	local next=$((SECONDS + 5)) now

	while kill -0 "$1" 2>/dev/null; do
		now=$(written "$1")
		[ "${now:-0}" -lt "$2" ] || return 0
		if [ $SECONDS -ge $next ]; then
			say "  ${now:-$writes} of $writes files with contents"
			next=$((SECONDS + 5))
		fi
		sleep 0.1
	done
}

kill_half_way()
{
	local build status=0 at

	say "building, to be killed when half of the files are copied"
	mkimage "$tree" $image &
	build=$!
	watch_build $build $((writes / 2))
	at=$(written $build)
	kill -KILL $build || true
	wait $build 2>/dev/null || status=$?
	[ $status = 137 ] || die "the build was over (status $status) before it was killed"
	say "killed when ${at:-0} of $writes files with contents were copied"
	nothing_left
}

finish()
{
	local build start=$SECONDS

	say "building again"
	mkimage "$tree" $image &
	build=$!
	watch_build $build "$((1 << 62))"
	wait $build || die "mkimage has failed"
	seconds=$((SECONDS - start))
	read -r size taken < <(stat -c '%s %b' $image)
	say "built in $seconds s: $(mib "$size"), of which $(mib $((taken * 512))) take space"
}

check()
{
	local differences

	xfs_repair -n -f $image >$work/log 2>&1 || { cat $work/log; die "xfs_repair complains"; }
	rm $work/log
	say "xfs_repair -n: clean"
	blkfd mount --read-only $image $work/mnt
	compared=$(count_files $work/mnt)
	say "comparing contents, owners, modes, times, links, attributes, ACLs"
	differences=$(rsync -naHAXc --modify-window=-1 --delete --itemize-changes \
		"$tree/" $work/mnt/)
	umount $work/mnt
	[ -z "$differences" ] || die "differences: $differences"
	[ "$compared" = "$files" ] || die "$compared files in the image, $files in the tree"
	say "$compared files compared: all equal"
}

mount -t tmpfs -o mode=700 demo $work
mkdir $work/mnt
free=$(free_space)
mounts=$(cut -d ' ' -f 3- /proc/self/mountinfo)
find_tree
say "$tree: $files files, $(mib "$bytes")"

kill_half_way
finish
check
rm $image
nothing_left

cat <<-SUMMARY

	Tree      $tree: $files files, $(mib "$bytes")
	Image     XFS, $(mib "$size"), sparse: $(mib $((taken * 512))) on disk, built in $seconds s
	Killed    half-way: nothing left behind, no cleaning up
	Checked   xfs_repair found nothing, $compared files are equal to the tree's
SUMMARY
