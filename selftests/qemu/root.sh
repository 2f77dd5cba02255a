#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Prints the directory of the guest's root: Debian 13 with compilers, tools and
# every kernel of the runner, from the mirror that this machine's apt uses.
# Made once, and again whenever the recipe or its package lists change.
set -euo pipefail
. "$(dirname "$0")/common.sh"

root=$cache/root-$(hash_of "$0" "$here"/{root-customize.sh,guest-packages})

# archive_uri LABEL: where this machine's apt gets that Debian archive from.
archive_uri()
{
	# shellcheck disable=SC2016 # apt's own fields
	apt-get indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' "Label: $1" | sed -n 1p
}

sources()
{
	local archive security suite
	local key='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'

	archive=$(archive_uri Debian)
	if [ -z "$archive" ]; then
		progress "apt-get update" as_root apt-get update
		archive=$(archive_uri Debian)
	fi
	[ -n "$archive" ] || die 2 "apt knows no Debian archive on this machine"
	security=$(archive_uri Debian-Security)
	for suite in trixie trixie-updates trixie-backports; do
		echo "deb $key $archive $suite main"
	done
	if [ -n "$security" ]; then
		echo "deb $key $security trixie-security main"
	else
		say "apt knows no security archive: the root goes without"
	fi
}

# The proxy that the machine's apt was told to use, as options of mmdebstrap.
proxy_options()
{
	apt-config dump --format '%f "%v";%n' | sed -n 's/^Acquire::https\?::.*[Pp]roxy.*/--aptopt=&/p'
}

make_root()
{
	local options proxy

	mapfile -t proxy < <(proxy_options)
	options=(--variant=apt --format=directory --architectures=amd64
		--include="$(package_list "$here/guest-packages" | tr ' ' ,)"
		--dpkgopt='path-exclude=/usr/share/doc/*'
		--dpkgopt='path-exclude=/usr/share/man/*'
		--dpkgopt='path-exclude=/usr/share/info/*'
		--dpkgopt='path-exclude=/usr/share/locale/*'
		--customize-hook="'$here/root-customize.sh' \"\$1\""
		"${proxy[@]}")
	sources >"$1.list"
	progress "making the Debian 13 root, about two minutes" \
		as_root mmdebstrap "${options[@]}" trixie "$1" "$1.list"
	rm "$1.list"
}

if [ ! -d "$root" ]; then
	exec 9>"$cache/root.lock"
	flock -n 9 || { say "waiting for another that makes the root"; flock 9; }
	if [ ! -d "$root" ]; then
		# shellcheck disable=SC2046 # a list
		need_host_packages $(package_list "$here/host-packages")
		as_root rm -rf --one-file-system "$root.new"
		make_root "$root.new"
		as_root mv "$root.new" "$root"
	fi
fi
echo "$root"
