# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by recipe.sh: a unit, and a manager for it that has namespaces and a cgroup of
# its own, starts nothing else and exits with it.

manager_cgroup=/sys/fs/cgroup/blkfd-manager

write_unit()
{
	local units=/run/systemd/system

	mount -t tmpfs units /run/systemd
	mkdir -p "$units/builder.service.d"
	echo "$1" >"$units/builder.service"
	cat >"$units/builder.service.d/test.conf" <<-CONF
	[Unit]
	DefaultDependencies=no
	SuccessAction=exit
	SuccessActionExitStatus=0
	FailureAction=exit
	FailureActionExitStatus=1
	[Service]
	WorkingDirectory=$PWD
	StandardError=file:$PWD/errors
	CONF
}

# run_service UNIT: what it complains of is ours.
run_service()
{
	local status=0

	write_unit "${1//ExecStart=blkfd/ExecStart=$(command -v blkfd)}"
	mkdir "$manager_cgroup"
	bash -euc 'echo 0 >"$1/cgroup.procs"
		exec unshare --pid --fork --kill-child --cgroup --mount-proc bash -euc "
			mount -t cgroup2 manager /sys/fs/cgroup
			exec env container=test /usr/lib/systemd/systemd --unit=builder.service"
		' - "$manager_cgroup" >manager 2>&1 || status=$?
	cat errors >&2 || cat manager >&2
	find "$manager_cgroup" -depth -type d -exec rmdir {} +
	return $status
}
