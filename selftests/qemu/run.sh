#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs a command on a kernel of its own, with the module built and loaded.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$here/kernel.sh"

usage()
{
	cat <<-USAGE
	run.sh [-k KERNEL] [-m MIB] [-c CPUS] [-t SECONDS] [-i|-p] [-s DIR] [-n] -- COMMAND [ARG...]

	Builds this tree for a kernel, boots that kernel in QEMU with the tree at /blkfd,
	loads the module, runs COMMAND there and exits with its status.

	-k KERNEL   one of: $kernels
	            (default: 6.12, the kernel of Debian 13; others are built here to find bugs)
	-m MIB      memory (default: $memory, kernels built here twice that)
	-c CPUS     processors (default: $cpus)
	-t SECONDS  time allowed from start to end, on this machine's clock (default: $limit,
	            kernels built here ten times that)
	-i          virtual time counts instructions, on one processor (MEASURE.md)
	-p          emulated processors run at once, not in turn: twice as fast on two, but
	            the guest may die of it when the kernel changes its own code
	-s DIR      have DIR at /share, read-write
	-n          do not load the module

	The command is root, in /blkfd, with nothing to read on stdin and 8 GiB of scratch
	disk, whose path is in TEST_DISK. Its stdout and stderr are run.sh's.
	With NATIVE=1 in the environment it runs on this very machine and its kernel.

	A line in the kernel log that tells of a bug fails the run, unless it matches an
	extended regular expression that COMMAND has written to /run/blkfd/expect, one a
	line. So does a module that is still in use after COMMAND.

	Exit status, if not that of COMMAND (128+N when signal N killed it):
	  2 wrong usage  123 set-up or build failed  124 out of time
	  125 kernel complained or died, or the module could not be loaded or removed
	USAGE
}

series=6.12
memory=2048
cpus=2
limit=600
counting=
at_once=
share=
load=1
asked=
while getopts :k:m:c:t:ips:nh option; do
	asked+="$option "
	case $option in
	k) series=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	i) counting=1 cpus=1 ;;
	p) at_once=1 ;;
	s) share=$OPTARG ;;
	n) load= ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [[ $series = *-* ]]; then
	[[ $asked = *m* ]] || memory=$((2 * memory))
	[[ $asked = *t* ]] || limit=$((10 * limit))
	# Races want processors that run at once.
	[[ $series != *-kcsan ]] || at_once=1
fi

[ $# -gt 0 ] || { usage >&2; exit 2; }
[[ " $kernels " == *" $series "* ]] || die 2 "-k $series: not one of: $kernels"
for number in "$memory" "$cpus" "$limit"; do
	[[ $number =~ ^[1-9][0-9]*$ ]] || die 2 "not a number: $number"
done
[ -z "$share" ] || [ -d "$share" ] || die 2 "-s $share: not a directory"

# The trap ends QEMU too, which run.sh's own death would end as well.
run=$(mktemp -d -t blkfd-run.XXXXXX)
job=
leave=
# shellcheck disable=SC2317 # the trap calls it
clean_up()
{
	[ -z "$job" ] || { kill "$job" && wait "$job"; } 2>/dev/null || true
	[ -z "$leave" ] || "$leave" || true
	rm -rf "$run"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "${NATIVE:-}" ]; then
	. "$here/native.sh"
else
	. "$here/vm.sh"
fi
. "$here/verdict.sh"
