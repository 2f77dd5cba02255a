// SPDX-License-Identifier: GPL-2.0
/* What docs/containers.md says, with the containers that it names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define RECIPE		"/blkfd/selftests/container/recipe.sh "

FIXTURE(containers) {
	char out[8192];
};

FIXTURE_SETUP(containers)
{
	/* The kernels that are made to find bugs have not got what containers need. */
	if (access("/proc/self/ns/user", F_OK) || access("/proc/self/ns/net", F_OK) ||
	    access("/proc/self/ns/ipc", F_OK))
		SKIP(return, "no namespaces for containers");
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, chdir(TEST_DIR));
}

FIXTURE_TEARDOWN(containers)
{
	EXPECT_EQ(true, test_wait_none());
}

TEST_F(containers, podman)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "podman");
}

TEST_F(containers, podman_without_the_rule)
{
	TEST_EXPECT_RUN(1, "device cgroup", test_shell,
			RECIPE "podman 0 's/--device-cgroup-rule \"[^\"]*\"//'");
}

TEST_F(containers, podman_with_the_node)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE
			"podman 0 's,--volume /run/builder:,--device /dev/blkfd:,'");
}

TEST_F(containers, podman_may_mount_with_the_capability)
{
	TEST_EXPECT_RUN(0, "hello\nhello\n", test_shell, RECIPE
			"podman 0 's/run --rm/& --cap-add SYS_ADMIN/\n"
			"s/blkfd exec .*/sh -c \"& \\&\\& mkdir mnt \\&\\& blkfd mount disk.img mnt "
			"\\&\\& cat mnt\\/file\"/'");
}

TEST_F(containers, podman_may_not_mount_without_it)
{
	TEST_EXPECT_RUN(1, "not permitted", test_shell, RECIPE
			"podman 0 's/blkfd exec .*/sh -c \"& \\&\\& mkdir mnt "
			"\\&\\& blkfd mount disk.img mnt\"/'");
}

/* The teardown waits until there is no device. */
TEST_F(containers, podman_killed_leaves_nothing)
{
	TEST_EXPECT_RUN(255, "", test_shell, RECIPE
			"podman 0 's/run --rm/& --timeout 20/\ns/mkfs.ext4 .*/sleep 1000/'");
	/* The builder had begun. */
	EXPECT_EQ(0, access("work/disk.img", F_OK));
}

TEST_F(containers, podman_rootless)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "podman-rootless 61000");
}

TEST_F(containers, nspawn)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "nspawn");
}

TEST_F(containers, nspawn_with_a_user_namespace)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "nspawn-private-users 200000");
}

TEST_F(containers, service)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "service");
}

TEST_F(containers, service_without_the_rule)
{
	TEST_EXPECT_RUN(1, "device cgroup", test_shell, RECIPE "service 0 /DeviceAllow/d");
}

TEST_F(containers, lxc)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "lxc");
}

TEST_F(containers, lxc_without_the_rule)
{
	TEST_EXPECT_RUN(1, "device cgroup", test_shell,
			RECIPE "lxc 0 /devices.allow/d");
}

TEST_F(containers, bubblewrap)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "bubblewrap");
}

TEST_F(containers, bubblewrap_as_a_user)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "bubblewrap 61000");
}

TEST_F(containers, unshare_as_a_user)
{
	TEST_EXPECT_RUN(0, "hello\n", test_shell, RECIPE "unshare 61000");
}

TEST_HARNESS_MAIN
