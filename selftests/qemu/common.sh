# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the scripts beside it: messages, the cache, packages of the host.
# Everything it says goes to stderr: stdout belongs to the command under test.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # for the scripts that source this
tree=$(cd "$here/../.." && pwd)
cache=${BLKFD_CACHE:-${XDG_CACHE_HOME:-~/.cache}/blkfd}
umask 022	# the guest's users, who are others, run what is built
mkdir -p "$cache"

say()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

die()
{
	local status=$1

	shift
	say "$*"
	exit "$status"
}

as_root()
{
	if [ "$EUID" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die 2 "needs root (or sudo) for: $*"
	fi
}

# package_list FILE: its names, without comments, on one line.
package_list()
{
	sed 's/#.*//' "$1" | xargs
}

# missing_packages NAME...: those that this machine lacks.
missing_packages()
{
	local name

	for name in "$@"; do
		[ "$(dpkg-query -Wf '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
			echo "$name"
	done
}

# Says which packages of the host are missing, and installs them.
need_host_packages()
{
	local missing=()

	[ -n "$(missing_packages "$@")" ] || return 0
	exec 8>"$cache/packages.lock"
	flock 8		# another one may be at it
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}" 8>&-
	exec 8>&-
}

install_packages()
{
	say "installing on this machine: $*"
	if ! apt-get install --simulate -qq "$@" >/dev/null 2>&1; then
		progress "apt-get update" as_root apt-get update
	fi
	progress "apt-get install" apt_install "$@" && return
	# Names that are known may be of versions that are gone.
	progress "apt-get update" as_root apt-get update
	progress "apt-get install" apt_install "$@"
}

apt_install()
{
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "$@"
}

# progress LABEL COMMAND...: runs it with its output kept aside, tells how long
# it has been at it, and shows the end of the output if it fails.
progress()
{
	local label=$1 log status=0 ticker start=$SECONDS

	shift
	log=$(mktemp)
	progress_ticker "$label" 8>&- 9>&- & ticker=$!
	"$@" >"$log" 2>&1 </dev/null || status=$?
	kill "$ticker" 2>/dev/null || true	# may have died, its work did not
	wait "$ticker" 2>/dev/null || true
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ "$status" != 0 ]; then
		tail -n 40 "$log" >&2
		say "$label: failed with status $status"
	elif [ $((SECONDS - start)) -gt 2 ]; then
		say "$label: done in $((SECONDS - start)) s"
	fi
	rm -f "$log"
	return "$status"
}

# Ends at once when it is killed: a sleep left behind would hold stderr open.
progress_ticker()
{
	local start=$SECONDS pause=1 form='\r\033[K%s ... %d s' nap

	[ -t 2 ] || pause=20 form="$(basename "$0"): %s ... %d s\n"
	trap 'kill "$nap"; exit' TERM
	while sleep "$pause" & nap=$!; do
		wait "$nap"
		kill -0 $$ 2>/dev/null || exit	# killed, and could not kill us
		# shellcheck disable=SC2059 # a format
		printf "$form" "$1" $((SECONDS - start)) >&2
	done
}

# hash_of FILE...: a short key for what is made from them.
hash_of()
{
	cat -- "$@" | sha256sum | cut -c1-12
}

# in_root DIR=PLACE... -- COMMAND...: in the guest's root, with the directories
# at those places of it and all else read-only.
in_root()
{
	# shellcheck disable=SC2016 # for the inner shell
	as_root unshare --mount sh -euc '
		root=$1
		shift
		mount --bind "$root" "$root"
		mount -o remount,bind,ro "$root"
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmp "$root/tmp"
		mount --rbind /dev "$root/dev"
		while [ "$1" != -- ]; do
			mount --bind "${1%%=*}" "$root${1#*=}"
			shift
		done
		shift
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 "$@"
	' - "${root:?}" "$@"
}
