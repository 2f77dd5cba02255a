#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# recipe.sh NAME [USER [SED]]: runs what docs/containers.md says for NAME, after SED has
# edited it, in the current directory, an empty one; the instance is USER's. That makes
# an image, which is looked at. The caller's mount namespace is one to be thrown away.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/service.sh"

name=$1
user=${2:-0}
edit=${3:-}
home=$PWD/home
root=$PWD/root
config=/var/lib/lxc/builder/config
image=blkfd-test

recipe()
{
	awk -v name="$1" '/^```/ { on = $2 == name; next } on' "$here/../../docs/containers.md"
}

# Who runs the recipe: the user who is root in the container, unless that is one of a
# namespace that the recipe makes.
caller=$user
[ "$caller" -lt 100000 ] || caller=0

as_caller()
{
	HOME=$home setpriv --reuid "$caller" --regid "$caller" --clear-groups "$@"
}

# Without systemd, network and a name service; what podman keeps is in $home.
prepare_podman()
{
	export CONTAINERS_CONF=$home/containers.conf STORAGE_DRIVER=vfs
	export XDG_RUNTIME_DIR=$home/run XDG_DATA_HOME=$home
	cat >"$CONTAINERS_CONF" <<-CONF
	[containers]
	netns = "none"
	[engine]
	cgroup_manager = "cgroupfs"
	events_logger = "file"
	CONF
	mkdir -p /var/lib/containers
	mount -t tmpfs containers /var/lib/containers
	mkdir "$XDG_RUNTIME_DIR"
	chown "$caller:$caller" "$XDG_RUNTIME_DIR"
	if [ "$caller" != 0 ]; then
		for file in passwd group subuid subgid; do
			cp "/etc/$file" "$home/"
			mount --bind "$home/$file" "/etc/$file"
		done
		echo "builder:x:$caller:$caller::$home:/bin/sh" >>/etc/passwd
		echo "builder:x:$caller:" >>/etc/group
		echo "builder:100000:65536" | tee /etc/subuid >/etc/subgid
	fi
	tar -C "$root" -c . | as_caller podman import --quiet - "$image" >/dev/null
}

# As a container of Debian's has it: devices are denied that are not allowed.
prepare_lxc()
{
	mkdir -p "${config%/*}"
	cat >"$config" <<-CONF
	lxc.uts.name = builder
	lxc.rootfs.path = dir:$root
	lxc.mount.auto = proc:mixed sys:ro
	lxc.mount.entry = $PWD/work work none bind
	lxc.cgroup2.devices.deny = a
	lxc.cgroup2.devices.allow = c 1:* rw
	lxc.apparmor.profile = unconfined
	CONF
}

"$here/root.sh" "$root"
mkdir -p "$home" work/tree
echo hello >work/tree/file
chown -R "$caller:$caller" "$home" work
mount --make-rshared /
eval "$(recipe instance)"
eval "$(recipe major)"
case $name in
podman*) prepare_podman ;;
lxc) prepare_lxc ;;
nspawn*)
	[ -s /etc/machine-id ] || systemd-machine-id-setup 2>/dev/null
	edit="s/--property \"[^\"]*\"/--register=no --keep-unit/;$edit" ;;
esac
cd work
export root image major config
text=$(recipe "$name" | sed "$edit")
[ -n "$text" ] || { echo "no recipe $name" >&2; exit 2; }
status=0
case $name in
service) run_service "$text" ;;
*) as_caller bash -euc "$text" ;;
esac || status=$?
umount /run/builder
rm /run/builder
[ $status = 0 ] || exit $status
e2fsck -fn disk.img >/dev/null 2>&1
debugfs -R "cat file" disk.img 2>/dev/null
