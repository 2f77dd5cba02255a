# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by guest.sh: what it takes to make devices and to have them.

# measure_churn CASE KIND COUNT PAUSE_MS: each gone before the next is made
measure_churn()
{
	local file what value

	file=$(prepare raw)
	"$here/lifetime" "$2" churn "$file" "$3" "$4" >/tmp/lifetime
	while read -r what value; do
		sample "$what-$1" "$2" nanoseconds "$value"
	done </tmp/lifetime
}

# measure_live CASE KIND COUNT
measure_live()
{
	local file what value unit

	file=$(prepare raw)
	"$here/lifetime" "$2" live "$file" "$3" >/tmp/lifetime
	while read -r what value; do
		unit=nanoseconds
		[[ $what != memory-* && $what != slab-* ]] || unit=bytes
		sample "$1-$what" "$2" $unit "$value"
	done </tmp/lifetime
	forget_devices "$2"
}

# All are closed, but what they leave must not be in the way of the next candidate.
forget_devices()
{
	case $1 in
	blkfd)
		while [ -n "$(devices)" ]; do
			sleep 1
		done ;;
	loop)
		rmmod loop
		modprobe loop ;;
	esac
}
