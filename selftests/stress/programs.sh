# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by stack.sh: the programs that run here, in memory. Otherwise they are read
# from the host, and again each time that caches are dropped: on a slow kernel hardly
# anything else would go on.

programs=/tmp/stack-programs
program_names="awk bash blkfd btrfs cat dd dirname e2fsck find fio fsck.f2fs fsfreeze grep
	jq md5sum mkdir mkfs.btrfs mkfs.ext4 mkfs.f2fs mkfs.xfs mkswap mount rm rmdir sleep
	swapoff swapon sync truncate umount wc wipefs xargs xfs_repair"

# What the loader says of each, in one go: ldd starts a shell and two more programs.
copy_programs()
{
	local name paths=() path

	for name in $program_names; do
		paths+=("$(command -v "$name")")
	done
	mkdir -p "$programs/bin" "$programs/lib"
	cp -Lt "$programs/bin" "${paths[@]}" "$here/fsload"
	for path in "${paths[@]}"; do
		LD_TRACE_LOADED_OBJECTS=1 "$path"
	done | awk '$3 ~ "^/" { print $3 }' | sort -u | xargs cp -Lt "$programs/lib"
}

# run_from_memory SCRIPT ARG...: starts this script again, unless that has been done.
run_from_memory()
{
	[ ! -d "$programs" ] || return 0
	say "programs: into memory"
	copy_programs
	PATH=$programs/bin:$PATH LD_LIBRARY_PATH=$programs/lib exec bash "$@"
}
