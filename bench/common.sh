# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the scripts of the bench that run on this machine.

# shellcheck source=../selftests/qemu/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../selftests/qemu/common.sh"
bench=$tree/bench
documents=$tree/docs
need_host_packages jq

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

case_names()
{
	sed -n 's/^\([^# ][^ ]*\) .*/\1/p' "$bench/cases.list"
}

# on_kernels KERNEL... -- ARG...: run.sh on each, the samples in $scratch/KERNEL.samples.
# Counted instructions do not depend on what else a processor does: all go at once.
on_kernels()
{
	local kernels=()

	while [ "$1" != -- ]; do
		kernels+=("$1")
		shift
	done
	shift
	printf '%s\n' "${kernels[@]}" | xargs -P "${VMS:-$(nproc)}" -I '{}' \
		"$bench/run.sh" -k '{}' -o "$scratch/{}.samples" "$@"
}
