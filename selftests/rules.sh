# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by the checks of the source, for how they object.

found=0
objections=$(mktemp)
trap 'rm -f "$objections"' EXIT

# rule NAME COMMAND...: whatever COMMAND prints is an objection.
rule()
{
	local name=$1

	shift
	"$@" >"$objections" 2>&1 || true
	[ -s "$objections" ] || return 0
	printf '== %s\n' "$name"
	cat "$objections"
	found=1
}

# The script's last line.
conclude()
{
	local name

	name=$(basename "$0" .sh)
	[ "$found" = 0 ] || { echo "$name: see above"; exit 1; }
	echo "$name: nothing found"
}
