// SPDX-License-Identifier: GPL-2.0
/* blkfd and mount.blkfd, as a shell runs them; jq judges the JSON. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "testlib.h"

#define FILE_PATH	TEST_DIR "/image"
#define DIR_PATH	TEST_DIR "/dir"

FIXTURE(command) {
	char out[8192];
};

/*
 * Each case has an empty directory of its own to work in. A command line is a
 * shell's, where $f is a file that is not there yet and $d an empty directory.
 */
FIXTURE_SETUP(command)
{
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, mkdir(DIR_PATH, 0755));
	ASSERT_EQ(0, chdir(TEST_DIR));
	ASSERT_EQ(0, setenv("f", FILE_PATH, 1));
	ASSERT_EQ(0, setenv("d", DIR_PATH, 1));
}

FIXTURE_TEARDOWN(command)
{
	EXPECT_EQ(true, test_wait_none());
}

#define RUN(line) test_shell(self->out, sizeof(self->out), line)

#define EXPECT_RUN(status, text, line) \
	TEST_EXPECT_RUN(status, text, test_shell, line)

/* It succeeds and has printed exactly text. */
#define EXPECT_OUTPUT(text, line) \
do { \
	const char *run_line = line; \
	EXPECT_EQ(0, RUN(run_line)) \
		TH_LOG("%s: %s", run_line, self->out); \
	EXPECT_STREQ(text, self->out); \
} while (0)

#define MAKE_FILE "truncate -s 16M $f; "
#define MAKE_EXT4 "truncate -s 16M $f; mkfs.ext4 -q $f; "
#define MAKE_BTRFS "truncate -s 128M $f; mkfs.btrfs -q -f $f; "

/* exec */

TEST_F(command, exec_gives_the_device_on_descriptor_3)
{
	EXPECT_OUTPUT("16777216\n", MAKE_FILE
		      "blkfd exec $f -- blockdev --getsize64 /proc/self/fd/3");
}

TEST_F(command, exec_replaces_a_descriptor_3_of_the_caller)
{
	EXPECT_OUTPUT("16777216\n", MAKE_FILE "exec 3</dev/null;\n"
		      "blkfd exec $f -- blockdev --getsize64 /proc/self/fd/3");
}

TEST_F(command, exec_passes_only_the_device_on)
{
	EXPECT_OUTPUT("0 1 2 3 4\n", MAKE_FILE
		      "blkfd exec $f -- bash -c 'echo $(ls /proc/self/fd)'");
}

TEST_F(command, exec_keeps_descriptors_that_the_caller_passes)
{
	EXPECT_OUTPUT("hello\n", MAKE_FILE
		      "blkfd exec $f -- cat <(echo hello)");
}

TEST_F(command, exec_works_without_standard_descriptors)
{
	EXPECT_OUTPUT("16777216\n", MAKE_FILE
		      "blkfd exec $f -- bash -c \\\n"
		      "'blockdev --getsize64 /proc/self/fd/3 >out' <&- >&- 2>&-;\n"
		      "cat out");
}

TEST_F(command, exec_replaces_braces_by_a_path_to_the_device)
{
	EXPECT_OUTPUT("x16777216y{ }\n", MAKE_FILE "blkfd exec $f -- \\\n"
		      "bash -c 'echo x$(blockdev --getsize64 {})y{ }'");
}

TEST_F(command, exec_replaces_every_pair_of_braces)
{
	EXPECT_OUTPUT("same\n", MAKE_FILE "blkfd exec $f -- bash -c \\\n"
		      "'[ $0 = $BLKFD:$BLKFD ] && echo same' {}:{}");
}

TEST_F(command, exec_path_is_not_that_of_another_device)
{
	EXPECT_OUTPUT("differ\n", MAKE_FILE "blkfd exec $f -- bash -c '\\\n"
		      "other=$(blkfd exec $f -- sh -c \"echo \\$BLKFD\")\n"
		      "[ $BLKFD != $other ] && echo differ'");
}

TEST_F(command, exec_lets_mkfs_use_the_path)
{
	EXPECT_EQ(0, RUN(MAKE_FILE "blkfd exec $f -- mkfs.ext4 -q {}"));
	EXPECT_EQ(0, RUN("e2fsck -fn $f"));
}

TEST_F(command, exec_passes_the_exit_status_on)
{
	EXPECT_EQ(7, RUN(MAKE_FILE "blkfd exec $f -- sh -c 'exit 7'"));
}

TEST_F(command, exec_reports_death_by_signal)
{
	EXPECT_EQ(128 + 9, RUN(MAKE_FILE "blkfd exec $f -- sh -c 'kill -9 $$'"));
}

TEST_F(command, exec_forwards_sigterm)
{
	EXPECT_EQ(9, RUN(MAKE_FILE "blkfd exec $f -- \\\n"
			 "bash -c 'trap \"exit 9\" TERM; kill -TERM $PPID;\n"
			 "for ((i = 0; i < 1000000; i++)); do :; done; exit 1'"));
}

static bool has_started(void *arg)
{
	return !access("started", F_OK);
}

/* The kernel tells the session's leader, which the command's shell is not here. */
TEST_F(command, exec_ends_with_its_terminal)
{
	int terminal;
	pid_t pid;

	ASSERT_EQ(0, RUN(MAKE_FILE));
	pid = forkpty(&terminal, NULL, NULL, NULL);
	if (!pid) {
		execlp("blkfd", "blkfd", "exec", FILE_PATH, "--",
		       "sh", "-c", ": >started; exec sleep 100", NULL);
		_exit(1);
	}
	ASSERT_LT(0, pid);
	EXPECT_TRUE(test_wait(has_started, NULL, TEST_TIMEOUT_MS));
	close(terminal);
	EXPECT_EQ(128 + SIGHUP, test_reap(pid));
}

/* What it does at the start is slowed down: the command ends meanwhile. */
TEST_F(command, exec_ends_though_sigchld_is_ignored)
{
	EXPECT_EQ(7, RUN(MAKE_FILE "timeout -s KILL $((200 * ${TEST_SLOWDOWN:-1})) "
			 "strace -o log --kill-on-exit -e inject=munmap:delay_exit=1000000 "
			 "env --ignore-signal=CHLD blkfd exec $f -- sh -c 'exit 7'"))
		TH_LOG("%s", self->out);
}

TEST_F(command, exec_leaves_sigchld_and_the_mask_to_the_command)
{
	EXPECT_OUTPUT("same\n", MAKE_FILE "show='grep -E Sig(Ign|Blk) /proc/self/status'\n"
		      "change='env --ignore-signal=CHLD --block-signal=USR1,TERM'\n"
		      "[ \"$($show)$($change $show)\" = \\\n"
		      "\"$(blkfd exec $f -- $show)$($change blkfd exec $f -- $show)\" ] &&\n"
		      "[ \"$($show)\" != \"$($change $show)\" ] && echo same");
}

TEST_F(command, exec_reports_a_missing_command)
{
	EXPECT_RUN(127, "nowhere: No such file", MAKE_FILE
		   "blkfd exec $f -- nowhere");
}

TEST_F(command, exec_reports_a_command_that_cannot_run)
{
	EXPECT_RUN(126, "Permission denied", MAKE_FILE "blkfd exec $f -- $d");
}

TEST_F(command, exec_without_a_separator_is_misuse)
{
	EXPECT_RUN(2, "FILE -- COMMAND", MAKE_FILE "blkfd exec $f true");
}

TEST_F(command, exec_of_a_missing_file_fails)
{
	EXPECT_RUN(1, "No such file", "blkfd exec $f -- true");
}

/* exec --new */

#define NEW "blkfd exec --new --size 16M "

TEST_F(command, new_file_appears_when_the_command_succeeds)
{
	EXPECT_EQ(0, RUN("umask 027; " NEW "$f -- mkfs.ext4 -q {}"));
	EXPECT_OUTPUT("640 16777216\n", "e2fsck -fn $f >log 2>&1; stat -c '%a %s' $f");
}

TEST_F(command, new_file_has_no_name_before)
{
	EXPECT_OUTPUT("dir\n", NEW "$f -- ls");
	EXPECT_EQ(0, RUN("test -e $f"));
}

TEST_F(command, new_file_of_a_command_that_fails_is_not_there)
{
	EXPECT_EQ(7, RUN(NEW "$f -- sh -c 'exit 7'"));
	EXPECT_EQ(127, RUN(NEW "$f -- nowhere"));
	EXPECT_OUTPUT("dir\n", "ls");
}

TEST_F(command, new_file_stays_nameless_if_exec_is_killed)
{
	EXPECT_EQ(0, RUN("mkfifo end; " NEW "$f -- sh -c 'kill -9 $PPID; echo >end' & cat end;\n"
			 "wait $! || rm end"));
	EXPECT_OUTPUT("dir\n", "ls");
}

TEST_F(command, new_file_replaces_none)
{
	EXPECT_RUN(1, "File exists", "echo old >$f; " NEW "$f -- touch ran");
	EXPECT_RUN(1, "File exists", "ln -s nowhere link; " NEW "link -- touch ran");
	EXPECT_OUTPUT("old\n", "cat $f; cat ran nowhere 2>&-; true");
}

TEST_F(command, new_file_replaces_none_that_came_meanwhile)
{
	EXPECT_RUN(1, "File exists", NEW "$f -- sh -c 'echo other >$f'");
	EXPECT_OUTPUT("other\n", "cat $f");
}

TEST_F(command, new_file_goes_where_its_directory_is_by_then)
{
	EXPECT_EQ(0, RUN("mkdir room; " NEW "room/image -- sh -c 'mv room moved; mkdir room'"))
		TH_LOG("%s", self->out);
	EXPECT_OUTPUT("image\n", "ls moved");
	EXPECT_OUTPUT("", "ls room");
	EXPECT_RUN(1, "No such file", NEW "room/image -- rmdir room");
	EXPECT_OUTPUT("", "rm -r moved; ls -d room 2>&- || true");
}

TEST_F(command, new_file_is_none_while_its_device_is_mounted)
{
	EXPECT_RUN(1, "has left the device mounted",
		   NEW "$f -- sh -c 'mkfs.ext4 -q {} && blkfd info {} >&2 && mount {} $d'");
	EXPECT_OUTPUT("dir\n", "umount $d; ls");
}

/*
 * All of the file system but this data has its room before the disk is full; neither
 * sync nor umount reports an error.
 */
#define LOSE_DATA	"mkdir small; mount -t tmpfs -o size=24M none small;\n" \
	NEW "small/image -- sh -c 'mkfs.ext4 -q -O ^has_journal \\\n" \
	"-E lazy_itable_init=0 {} && mount {} $d && : >$d/file && sync &&\n" \
	"{ cat /dev/zero >small/filler; head -c 4M /dev/urandom >$d/file; sync;\n" \
	"rm small/filler; umount $d; "

TEST_F(command, new_file_is_none_if_data_was_lost)
{
	EXPECT_RUN(1, "device: No space left", LOSE_DATA "}'");
	EXPECT_OUTPUT("", "ls small; umount small");
}

TEST_F(command, new_file_is_none_if_the_command_did_not_heed_a_loss)
{
	EXPECT_RUN(1, "of the device have failed",
		   LOSE_DATA "dd if=/dev/null of={} conv=notrunc,fsync || true; }'");
	EXPECT_OUTPUT("", "ls small; umount small");
}

/* What the command did not sync itself is written when it has ended. */
TEST_F(command, exec_tells_of_what_was_lost)
{
	EXPECT_RUN(1, "small/image: device: ",
		   "mkdir small; mount -t tmpfs -o size=1M none small; truncate -s 4M $f;\n"
		   "blkfd exec --size 4M small/image -- dd if=$f of={} bs=1M status=none");
	EXPECT_RUN(1, "small/image: device: ",
		   "blkfd exec small/image -- sh -c 'dd if='$f' of={} bs=1M status=none\n"
		   "sync {} || true'");
	/* By descriptor 3, too. */
	EXPECT_RUN(1, "small/image: device: ",
		   "blkfd exec small/image -- perl -e 'open D, \"+<&=3\"; use IO::Handle;\n"
		   "syswrite D, \"x\" x 4194304; D->sync or print \"told\"'");
	EXPECT_RUN(3, "small/image: device: ",
		   "blkfd exec small/image -- sh -c 'dd if='$f' of={} bs=1M; exit 3'");
	EXPECT_EQ(0, RUN("blkfd exec small/image -- dd if=$f of={} bs=1k count=8; umount small"));
}

/* The device's, the file's, and the third is the directory's. */
#define FAILED_SYNC	"strace -o log -e inject=fsync:error=EIO:when=3 "

TEST_F(command, new_file_is_none_if_its_name_may_be_lost)
{
	EXPECT_RUN(1, "image: its directory: Input/output error", FAILED_SYNC NEW "$f -- true");
	EXPECT_OUTPUT("dir\nlog\n", "ls");
	EXPECT_RUN(1, "complete, but may not outlive a crash",
		   FAILED_SYNC "-e inject=unlinkat:error=EROFS " NEW "$f -- true");
	EXPECT_OUTPUT("16777216\n", "stat -c %s $f");
}

TEST_F(command, new_file_is_none_while_somebody_has_its_device_open)
{
	EXPECT_RUN(1, "has left the device mounted, or in use",
		   "mkfifo end; " NEW "$f -- sh -c 'cat end &'; s=$?; : >end; exit $s");
	EXPECT_OUTPUT("dir\nend\n", "ls");
}

/* It ends when the command is no zombie any more. */
TEST_F(command, new_file_waits_for_those_that_are_about_to_end)
{
	EXPECT_EQ(0, RUN(NEW "$f -- bash -c '\n"
			 "while kill -0 $$; do :; done 2>log && printf late >&3 &'"))
		TH_LOG("%s", self->out);
	EXPECT_OUTPUT("late", "head -c 4 $f");
}

TEST_F(command, new_file_needs_a_size_and_nameless_files)
{
	EXPECT_RUN(2, "size", "blkfd exec --new $f -- true");
	EXPECT_RUN(1, "no files without a name", NEW "/proc/image -- true");
	EXPECT_RUN(2, "--new is for exec", "blkfd mount --new $f $d");
	EXPECT_OUTPUT("dir\n", "ls");
}

TEST_F(command, new_file_needs_a_name)
{
	EXPECT_RUN(1, "No such file", NEW "'' -- touch ran");
	EXPECT_OUTPUT("dir\n", "ls");
}

TEST_F(command, new_file_is_not_passed_on)
{
	EXPECT_OUTPUT("0 1 2 3 4\n", NEW "$f -- bash -c 'echo $(ls /proc/self/fd)'");
}

/* Options */

TEST_F(command, read_only_keeps_writers_out)
{
	EXPECT_EQ(0, RUN(MAKE_FILE "blkfd exec $f -- bash -c ': <>{}'"));
	EXPECT_RUN(0, "Read-only file system",
		   "! blkfd exec --read-only $f -- bash -c ': <>{}'");
}

TEST_F(command, offset_and_length_make_a_window)
{
	EXPECT_OUTPUT("8192\n", MAKE_FILE "blkfd exec --offset 4K --length 8K \\\n"
		      "$f -- sh -c 'blockdev --getsize64 {}; printf abc >{}'");
	EXPECT_OUTPUT("abc", "dd if=$f bs=1 skip=4096 count=3 status=none");
}

TEST_F(command, block_size_is_the_logical_one)
{
	EXPECT_OUTPUT("4096\n", MAKE_FILE "blkfd exec --block-size 4096 $f -- \\\n"
		      "blockdev --getss {}");
}

TEST_F(command, flags_are_those_asked_for)
{
	EXPECT_OUTPUT("[\"direct\",\"nodiscard\"]\n", MAKE_FILE
		      "blkfd exec --direct --no-discard $f -- \\\n"
		      "blkfd info --json {} | jq -c '.[0].flags'");
}

TEST_F(command, suffixes_are_powers_of_1024)
{
	EXPECT_OUTPUT("1024\n2048\n2048\n1000\n2097152\n",
		      "for s in 1K 2KiB 2k 1KB 2M; do rm -f $f;\n"
		      "blkfd exec --size $s --block-size 512 $f -- true \\\n"
		      "2>/dev/null && stat -c %s $f || echo 1000; done");
}

TEST_F(command, sizes_that_are_no_numbers_are_refused)
{
	EXPECT_EQ(0, RUN("for s in '' -1 +1 ' 1' '1 B' 1x 1KK 1.5G 0x10 K 1Ki; do\n"
			 "blkfd exec --size \"$s\" $f -- true;\n"
			 "[ $? = 2 ] && [ ! -e $f ] ||\n"
			 "{ echo \"taken: $s\"; exit 1; }; done"))
		TH_LOG("%s", self->out);
}

TEST_F(command, sizes_that_overflow_are_refused)
{
	EXPECT_RUN(2, "too large", "blkfd exec --size 8E $f -- true");
	EXPECT_RUN(2, "too large",
		   "blkfd exec --offset 99999999999999999999 $f -- true");
	EXPECT_RUN(2, "too large",
		   "blkfd exec --block-size 4G $f -- true");
}

TEST_F(command, size_creates_the_file_with_the_umask)
{
	EXPECT_OUTPUT("1048576 640\n", "umask 026; blkfd exec --size 1M $f -- \\\n"
		      "stat -c '%s %a' $f");
}

TEST_F(command, size_creates_nothing_through_a_link)
{
	EXPECT_RUN(1, "link: a symbolic link to nothing",
		   "ln -s nowhere link; blkfd exec --size 1M link -- true");
	EXPECT_OUTPUT("dir\nlink\n", "ls");
}

TEST_F(command, size_extends_the_file)
{
	EXPECT_OUTPUT("33554432\n", MAKE_FILE "blkfd exec --size 32M $f -- \\\n"
		      "blockdev --getsize64 {}");
}

TEST_F(command, size_never_shrinks_the_file)
{
	EXPECT_RUN(1, "never made smaller", MAKE_FILE
		   "blkfd exec --size 1M $f -- true");
	EXPECT_OUTPUT("16777216\n", "stat -c %s $f");
}

TEST_F(command, size_is_undone_if_there_is_no_device)
{
	EXPECT_RUN(1, "1000 bytes, is not a multiple of the block size 512",
		   "blkfd exec --size 1000 $f -- true");
	EXPECT_EQ(0, RUN("[ ! -e $f ]"));
	EXPECT_EQ(1, RUN(MAKE_FILE "blkfd exec --size 17000001 $f -- true"));
	EXPECT_OUTPUT("16777216\n", "stat -c %s $f");
}

TEST_F(command, size_is_undone_if_the_command_cannot_run)
{
	EXPECT_EQ(127, RUN("blkfd exec --size 1M $f -- nowhere"));
	EXPECT_EQ(0, RUN("[ ! -e $f ]"));
	EXPECT_EQ(126, RUN(MAKE_FILE "blkfd exec --size 32M $f -- $d"));
	EXPECT_OUTPUT("16777216\n", "stat -c %s $f");
}

TEST_F(command, size_is_not_undone_once_the_command_has_started)
{
	EXPECT_EQ(127, RUN("blkfd exec --size 1M $f -- sh -c 'echo data >{}; exit 127'"));
	EXPECT_OUTPUT("data\n1048576\n", "head -n 1 $f; stat -c %s $f");
	EXPECT_EQ(128 + 9, RUN("blkfd exec --size 2M $f -- sh -c 'kill -9 $$'"));
	EXPECT_OUTPUT("2097152\n", "stat -c %s $f");
}

TEST_F(command, size_is_undone_if_nothing_is_mounted)
{
	EXPECT_RUN(1, "no known file system", "blkfd mount --size 1M $f $d");
	EXPECT_EQ(32, RUN("mount.blkfd $f $d -o size=1M"));
	EXPECT_EQ(0, RUN("[ ! -e $f ]"));
	EXPECT_EQ(1, RUN(MAKE_FILE "blkfd mount --size 32M $f $d"));
	EXPECT_OUTPUT("16777216\n", "stat -c %s $f");
	EXPECT_EQ(1, RUN("mkfs.ext4 -q $f; blkfd mount --json --size 32M $f nowhere"));
	EXPECT_EQ(32, RUN("mount.blkfd -N $$ $f nowhere -o size=32M"));
	EXPECT_OUTPUT("16777216\n", "stat -c %s $f");
	EXPECT_OUTPUT("33554432\n", "blkfd mount --size 32M $f $d; umount $d; stat -c %s $f");
}

/*
 * What is mounted is a tmpfs: on no device over a new file is a file system. There is no
 * such directory in the other namespace, and no such file.
 */
TEST_F(command, size_is_undone_from_within_another_namespace)
{
	EXPECT_RUN(32, "other namespace: No such file", "mkfifo go\n"
		   "unshare -m sh -c 'mount -t tmpfs none $PWD; echo >go; read -r _ <go' &\n"
		   "read -r _ <go; for file in image $f; do\n"
		   "mount.blkfd -N $! $file $d -o size=16M,fstype=tmpfs; s=$?; done\n"
		   "echo >go; exit $s");
	EXPECT_OUTPUT("dir\ngo\n", "ls");
}

TEST_F(command, size_of_a_read_only_file_is_refused)
{
	EXPECT_RUN(2, "read-only",
		   "blkfd exec --read-only --size 1M $f -- true");
	EXPECT_RUN(2, "read-only", "blkfd mount --size 1M -o ro $f $d");
	EXPECT_EQ(0, RUN("[ ! -e $f ]"));
}

TEST_F(command, refusals_say_what_is_wrong)
{
	EXPECT_RUN(1, "offset, 100 bytes, is not a multiple", MAKE_FILE
		   "blkfd exec --offset 100 $f -- true");
	EXPECT_RUN(1, "beyond the end of the file, 16777216 bytes", MAKE_FILE
		   "blkfd exec --offset 32M $f -- true");
	EXPECT_RUN(1, "power of two", MAKE_FILE
		   "blkfd exec --block-size 1000 $f -- true");
	EXPECT_RUN(1, "cannot be empty", ": >e; blkfd exec e -- true");
	EXPECT_RUN(1, "Is a directory", "blkfd exec $d -- true");
	EXPECT_RUN(1, "neither a regular file", "blkfd exec /dev/null -- true");
	EXPECT_RUN(1, "neither a regular file",
		   "mkfifo p; blkfd exec --read-only p -- true");
}

/* The kernel opens the file once more, for the device. */
TEST_F(command, refusals_by_the_file_are_not_the_modules)
{
	static const struct {
		int error;
		const char *text;
	} errors[] = {
		{ ENOENT, FILE_PATH ": No such file or directory\n" },
		{ ENXIO, FILE_PATH ": No such device or address\n" },
		{ ENODEV, FILE_PATH ": No such device\n" },
		{ EACCES, FILE_PATH ": Permission denied\n" },
	};
	struct test_fuse fuse = { };

	ASSERT_EQ(0, test_fuse_mount(&fuse, FILE_PATH, TEST_MIB, 4096));
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		*fuse.reopen_error = errors[i].error;
		EXPECT_RUN(1, errors[i].text, "blkfd exec $f -- true");
		EXPECT_RUN(32, errors[i].text, "mount.blkfd $f $d");
	}
	*fuse.reopen_error = 0;
	EXPECT_EQ(0, RUN("blkfd exec $f -- true"));
	EXPECT_EQ(0, umount(FILE_PATH));
	EXPECT_EQ(0, test_reap(fuse.server));
}

/* mount */

TEST_F(command, mount_finds_the_file_system)
{
	EXPECT_OUTPUT("ext4\n", MAKE_EXT4 "blkfd mount $f $d;\n"
		      "findmnt -no FSTYPE $d; umount $d");
}

TEST_F(command, mount_leaves_the_data_in_the_file)
{
	EXPECT_OUTPUT("hello\n", MAKE_EXT4 "blkfd mount $f $d;\n"
		      "echo hello >$d/greeting; umount $d;\n"
		      "blkfd mount $f $d; cat $d/greeting; umount $d");
	EXPECT_EQ(0, RUN("e2fsck -fn $f"));
}

TEST_F(command, mount_leaves_no_process_and_no_node)
{
	EXPECT_OUTPUT("", MAKE_EXT4 "blkfd mount $f $d;\n"
		      "pgrep -x blkfd; ls /dev | grep blkfd. ;\n"
		      "grep blkfd /run/mount/utab 2>/dev/null; umount $d");
}

TEST_F(command, mount_source_names_no_other_device)
{
	EXPECT_OUTPUT("", MAKE_EXT4 "blkfd mount $f $d;\n"
		      "ls $(findmnt -no SOURCE $d) 2>/dev/null; umount $d");
}

TEST_F(command, mount_json_is_what_was_mounted)
{
	EXPECT_OUTPUT("[\"dir\",\"ext4\",true,\"path\"]\n", MAKE_EXT4
		      "blkfd mount --json $f $d >m; blkfd list --json >l;\n"
		      "umount $d; jq -c --slurpfile l l \\\n"
		      "'.id as $id | [(.target | sub(\".*/\"; \"\")), .fstype,\n"
		      "  $id == $l[0][0].id and (.source | endswith(\"/blkfd:[\\($id)]\")),\n"
		      "  .source_by]' m");
}

TEST_F(command, mount_json_is_empty_on_failure)
{
	EXPECT_OUTPUT("", MAKE_FILE
		      "! blkfd mount --json $f $d 2>/dev/null");
}

TEST_F(command, mount_json_that_cannot_be_printed_leaves_no_mount)
{
	EXPECT_RUN(1, "standard output: No space", MAKE_EXT4
		   "blkfd mount --json --size 32M $f $d >/dev/full");
	EXPECT_OUTPUT("16777216\n", "! mountpoint -q $d && stat -c %s $f");
	EXPECT_RUN(1, "standard output: Broken pipe",
		   "exec 5> >(:); wait $!; blkfd mount --json $f $d >&5");
	EXPECT_EQ(0, RUN("! mountpoint -q $d"));
	EXPECT_RUN(1, "standard output: Bad file", "blkfd mount --json $f $d >&-");
	EXPECT_EQ(0, RUN("! mountpoint -q $d"));
}

TEST_F(command, json_is_not_for_exec)
{
	EXPECT_RUN(2, "--json is for mount", "blkfd exec --json $f -- true");
}

/* With the patch of blkfd_mountfd. */

TEST_F(command, mount_gives_the_descriptor_where_it_is_taken)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	EXPECT_OUTPUT("[true,\"fd\"]\n", MAKE_EXT4
		      "blkfd mount --json $f $d >m; umount $d;\n"
		      "jq -c '[.source == \"blkfd:[\\(.id)]\", .source_by]' m");
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

TEST_F(command, mount_helper_gives_the_descriptor_where_it_is_taken)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	EXPECT_OUTPUT("blkfd:[N]\n", MAKE_EXT4 "mount -t blkfd $f $d;\n"
		      "findmnt -no SOURCE $d | sed 's/[0-9]\\+/N/'; umount $d");
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

TEST_F(command, list_finds_btrfs_that_was_mounted_by_descriptor)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	EXPECT_OUTPUT("[\"" DIR_PATH "\"]\n",
		      MAKE_BTRFS "blkfd mount $f $d;\n"
		      "blkfd list --json | jq -c '.[0].mounts'; umount $d");
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

TEST_F(command, mount_takes_attributes_and_options)
{
	EXPECT_OUTPUT("ok\n", MAKE_EXT4
		      "blkfd mount -o nosuid,nodev,noatime,data=journal $f $d;\n"
		      "o=,$(findmnt -no OPTIONS $d),; umount $d;\n"
		      "for w in nosuid nodev noatime data=journal; do\n"
		      "[[ $o = *,$w,* ]] || echo \"no $w in $o\"; done; echo ok");
}

/* As mount(8) has it: users are not to gain by what is in the file. */
TEST_F(command, mount_for_users_has_no_devices_and_no_setuid)
{
	EXPECT_OUTPUT("rw,nosuid,nodev,noexec,relatime\nrw,nosuid,nodev,relatime\n"
		      "rw,nosuid,nodev,relatime\n", MAKE_EXT4
		      "for o in user users,exec owner; do blkfd mount -o $o $f $d;\n"
		      "findmnt -no VFS-OPTIONS $d; umount $d; done");
}

TEST_F(command, mount_read_only_is_so_in_device_and_mount)
{
	EXPECT_OUTPUT("rdonly nodiscard\nrdonly nodiscard\nrdonly nodiscard\n", MAKE_EXT4
		      "for o in --read-only '-o ro' '-o read-only'; do\n"
		      "blkfd mount $o $f $d; ! touch $d/x 2>/dev/null ||\n"
		      "echo written; blkfd list --json | jq -r '.[0].flags | join(\" \")'\n"
		      "umount $d; done");
}

TEST_F(command, mount_goes_by_the_last_of_ro_and_rw)
{
	EXPECT_OUTPUT("rw ro\nrw ro\n", MAKE_EXT4
		      "for m in 'blkfd mount' 'mount.blkfd'; do for o in ro,rw rw,ro; do\n"
		      "$m -o $o $f $d; findmnt -no VFS-OPTIONS $d | cut -d , -f 1; umount $d\n"
		      "done | xargs; done");
}

TEST_F(command, mount_takes_a_window)
{
	EXPECT_OUTPUT("ext4\n", "blkfd exec --size 32M --offset 16M $f -- \\\n"
		      "mkfs.ext4 -q {}; blkfd mount --offset 16M $f $d;\n"
		      "findmnt -no FSTYPE $d; umount $d");
}

TEST_F(command, mount_says_why_the_kernel_refuses)
{
	EXPECT_RUN(1, "Unknown parameter 'bogus'", MAKE_EXT4
		   "blkfd mount -o bogus $f $d");
}

TEST_F(command, mount_of_no_file_system_fails)
{
	EXPECT_RUN(1, "no known file system", MAKE_FILE "blkfd mount $f $d");
	EXPECT_RUN(1, "which is no file system", MAKE_FILE
		   "mkswap -q $f; blkfd mount $f $d");
}

TEST_F(command, mount_takes_auto_for_what_is_there)
{
	EXPECT_OUTPUT("ext4\next4\next4\next4\n", MAKE_EXT4
		      "for m in 'blkfd mount -t auto' 'blkfd mount -t xfs -o fstype=auto' \\\n"
		      "'mount -t blkfd -o fstype=auto' 'mount -t blkfd.auto'; do\n"
		      "$m $f $d; findmnt -no FSTYPE $d; umount $d; done");
}

TEST_F(command, mount_does_not_choose_between_two_file_systems)
{
	EXPECT_RUN(1, "several file systems", MAKE_EXT4
		   "mkfs.vfat -C x 8192 >/dev/null;\n"
		   "dd if=x of=$f conv=notrunc bs=512 count=1 status=none;\n"
		   "blkfd mount $f $d");
}

TEST_F(command, mount_at_no_directory_leaves_the_file_alone)
{
	EXPECT_EQ(1, RUN(MAKE_EXT4 "sha1sum $f >sum; blkfd mount $f nowhere"));
	EXPECT_EQ(0, RUN("sha1sum -c sum"));
}

/* mount.blkfd */

TEST_F(command, mount_helper_mounts_and_umount_cleans_up)
{
	EXPECT_OUTPUT("ext4\n", MAKE_EXT4 "mount -t blkfd -o fstype=ext4 $f $d;\n"
		      "findmnt -no FSTYPE $d; umount $d");
	EXPECT_EQ(true, test_wait_none());
}

TEST_F(command, mount_helper_finds_the_file_system)
{
	EXPECT_OUTPUT("ext4\n", MAKE_EXT4 "mount -t blkfd $f $d;\n"
		      "findmnt -no FSTYPE $d; umount $d");
}

TEST_F(command, mount_helper_takes_the_type_as_subtype)
{
	EXPECT_RUN(32, "as xfs", MAKE_EXT4 "mount -t blkfd.xfs $f $d");
}

TEST_F(command, mount_helper_takes_device_options)
{
	EXPECT_OUTPUT("[16777216,16777216,4096,[\"nodiscard\"]]\n",
		      "blkfd exec --size 32M --offset 16M $f -- \\\n"
		      "mkfs.ext4 -q -b 4096 {};\n"
		      "mount -t blkfd -o no-discard,blkfd.offset=16M,length=16M,\\\n"
		      "block-size=4K $f $d;\n"
		      "blkfd list --json | jq -c \\\n"
		      "'.[0] | [.offset, .length, .block_size, .flags]';\n"
		      "umount $d");
}

TEST_F(command, mount_helper_takes_offset_without_mount)
{
	EXPECT_OUTPUT("ext4\n", "blkfd exec --size 32M --offset 16M $f -- \\\n"
		      "mkfs.ext4 -q {}; mount.blkfd $f $d -o offset=16M;\n"
		      "findmnt -no FSTYPE $d; umount $d");
}

TEST_F(command, mount_helper_takes_options_last_whatever_posix_says)
{
	EXPECT_OUTPUT("ext4\n", MAKE_EXT4 "POSIXLY_CORRECT=1 mount -t blkfd $f $d;\n"
		      "findmnt -no FSTYPE $d; umount $d");
}

TEST_F(command, mount_helper_changes_what_fstab_mounts)
{
	EXPECT_OUTPUT("ro,nosuid,noatime\nrw,noatime\n1\n", MAKE_EXT4
		      "o=nosuid,noatime,no-discard,blkfd.size=16M,fstype=ext4,X-a.b\n"
		      "echo \"$f $d blkfd $o 0 0\" >tab; mount -a -T tab;\n"
		      "mount -T tab -o remount,ro $d; findmnt -no VFS-OPTIONS $d;\n"
		      "mount -T tab -o remount,rw,suid $d;\n"
		      "touch $d/file; findmnt -no VFS-OPTIONS $d;\n"
		      "findmnt -rn $d | wc -l; umount $d");
	EXPECT_RUN(32, "not mounted", "mount -T tab -o remount,ro $d");
}

/* The device is as it was made. */
TEST_F(command, mount_helper_lets_nobody_write_to_a_read_only_device)
{
	EXPECT_RUN(32, "cannot remount", MAKE_EXT4
		   "mount -t blkfd -o ro $f $d; mount -t blkfd -o remount,rw $f $d; s=$?\n"
		   "! touch $d/file && umount $d && exit $s");
}

/* How often it is mounted by then, and the log where that was not why the second failed. */
#define MOUNT_TWICE \
	"echo \"$f $d blkfd defaults 0 0\" >tab; mount -a -T tab; mount -a -T tab 2>log\n" \
	"findmnt -rn $d | wc -l; grep -L 'mounted on .*dir already' log\n" \
	"while mountpoint -q $d; do umount $d; done"

/* Two devices over a file do not know of each other: the file system would suffer. */
TEST_F(command, mount_helper_mounts_nothing_twice_at_one_place)
{
	EXPECT_OUTPUT("1\n", MAKE_EXT4 MOUNT_TWICE);
	EXPECT_OUTPUT("1\n", MAKE_BTRFS MOUNT_TWICE);
}

TEST_F(command, mount_helper_mounts_nothing_twice_where_the_descriptor_is_taken)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	EXPECT_OUTPUT("1\n", MAKE_BTRFS MOUNT_TWICE);
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

/* By whichever node. */
TEST_F(command, mount_helper_mounts_a_disk_once_at_one_place)
{
	EXPECT_OUTPUT("1\n", "mknod twin b $(stat -c '0x%t 0x%T' $TEST_DISK);\n"
		      "blkfd exec --offset 1M --length 16M $TEST_DISK -- mkfs.ext4 -q {};\n"
		      "for disk in $TEST_DISK twin; do\n"
		      "echo \"$disk $d blkfd length=16M,blkfd.offset=1M 0 0\" >tab;\n"
		      "mount -a -T tab 2>>log; done; findmnt -rn $d | wc -l; umount $d");
	EXPECT_OUTPUT("1\n", "grep -c 'twin: mounted on .*dir already' log");
}

TEST_F(command, mount_helper_mounts_another_window_above)
{
	EXPECT_OUTPUT("2\n", "truncate -s 32M $f; for at in 0 16M; do\n"
		      "blkfd exec --offset $at --length 16M $f -- mkfs.ext4 -q {};\n"
		      "mount -t blkfd -o blkfd.offset=$at,length=16M $f $d; done;\n"
		      "findmnt -rn $d | wc -l; umount $d; umount $d");
}

TEST_F(command, mount_helper_refuses_loop_devices)
{
	EXPECT_RUN(1, "no loop device", MAKE_EXT4
		   "mount.blkfd $f $d -o loop=/dev/loop0");
}

TEST_F(command, mount_helper_ignores_what_is_for_mount)
{
	EXPECT_OUTPUT("ext4\n", MAKE_EXT4 "mount.blkfd $f $d -o \\\n"
		      "rw,defaults,noauto,nofail,_netdev,x-a.b=c,comment=d,uhelper=e,\\\n"
		      "x-systemd.requires=modprobe@blkfd.service;\n"
		      "findmnt -no FSTYPE $d; umount $d");
}

TEST_F(command, mount_helper_mounts_nothing_if_faking)
{
	EXPECT_EQ(0, RUN(MAKE_EXT4 "mount -f -t blkfd $f $d &&\n"
			 "! mountpoint -q $d"));
}

TEST_F(command, mount_helper_mounts_though_it_cannot_say_so)
{
	EXPECT_RUN(0, "standard output", MAKE_EXT4
		   "mount.blkfd -v $f $d >/dev/full && umount $d");
}

TEST_F(command, mount_helper_reports_as_mount_documents)
{
	EXPECT_EQ(1, RUN("mount.blkfd $f"));
	EXPECT_EQ(1, RUN("mount.blkfd $f $d -o offset=x"));
	EXPECT_EQ(32, RUN("mount.blkfd $f $d"));
	EXPECT_EQ(32, RUN(MAKE_FILE "mount -t blkfd $f $d"));
}

TEST_F(command, mount_helper_makes_ro_of_device_and_mount)
{
	EXPECT_OUTPUT("rdonly\n", MAKE_EXT4 "mount -t blkfd -o ro $f $d;\n"
		      "! touch $d/x 2>/dev/null && blkfd list --json |\n"
		      "jq -r '.[0].flags[0]'; umount $d");
}

TEST_F(command, mount_helper_mounts_in_the_namespace_named)
{
	EXPECT_EQ(0, RUN(MAKE_EXT4 "coproc unshare -m sh -c \\\n"
			 "'echo $$; read -r _; grep -c \" '$d' ext4\" \\\n"
			 "/proc/self/mounts'; read -r pid <&${COPROC[0]};\n"
			 "mount.blkfd -N $pid $f $d; ! mountpoint -q $d; here=$?;\n"
			 "echo >&${COPROC[1]}; read -r there <&${COPROC[0]};\n"
			 "[ $here.$there = 0.1 ]"))
		TH_LOG("%s", self->out);
}

/*
 * The statuses of mounting in a mount namespace that unshare(1) makes with $1 and a
 * shell prepares by $2, of finding nothing here, and of finding it there: in two that
 * have no /proc, or not ours.
 */
#define MOUNT_THERE \
	"mkfifo ready go; mount_there() { rm -f $f; " MAKE_EXT4 "\n" \
	"unshare $1 sh -c \"$2\"'; echo >ready; read -r _ <go; [ -d $d/lost+found ]' &\n" \
	"read -r _ <ready; mount -N $! -t blkfd $f $d; there=$?; ! mountpoint -q $d\n" \
	"there+=$?; echo >go; wait $!; echo $there$?; }\n" \
	"mount_there '-mpf --mount-proc' true\n" \
	"mount_there -m 'umount -l /proc'"

TEST_F(command, mount_helper_needs_no_proc_in_the_namespace)
{
	EXPECT_OUTPUT("000\n000\n", MOUNT_THERE);
}

TEST_F(command, mount_helper_needs_no_proc_where_the_descriptor_is_taken)
{
	ASSERT_EQ(0, test_livepatch_load(TEST_MOUNTFD_PATH, ""));
	EXPECT_OUTPUT("000\n000\n", MOUNT_THERE);
	EXPECT_EQ(0, test_livepatch_unload(TEST_MOUNTFD));
}

TEST_F(command, mount_helper_needs_the_directory_in_the_namespace)
{
	EXPECT_RUN(32, "other namespace: No such file", MAKE_EXT4
		   "mkdir here; cd here; mkfifo go\n"
		   "unshare -m sh -c 'mount -t tmpfs none $d; echo >go; read -r _ <go' &\n"
		   "read -r _ <go; mkdir $d/sub; mount.blkfd -N $! $f $d/sub; s=$?\n"
		   "echo >go; exit $s");
	EXPECT_EQ(2, RUN("mount.blkfd -N 999999999 $f $d"));
}

/* list and info */

TEST_F(command, list_shows_devices_and_mounts)
{
	EXPECT_OUTPUT("[\"" FILE_PATH "\",[\"" DIR_PATH "\"]]\n", MAKE_EXT4
		      "blkfd mount $f $d; blkfd list --json |\n"
		      "jq -c '.[0] | [.backing_file, .mounts]'; umount $d");
}

TEST_F(command, list_finds_where_btrfs_is_mounted)
{
	EXPECT_OUTPUT("[\"" DIR_PATH "\"]\n",
		      "blkfd exec --size 200M $f -- mkfs.btrfs -q {} \\\n"
		      "2>/dev/null; blkfd mount $f $d;\n"
		      "blkfd list --json | jq -c '.[0].mounts'; umount $d");
}

TEST_F(command, list_of_no_devices_is_an_empty_array)
{
	EXPECT_OUTPUT("[]\n", "blkfd list --json");
	EXPECT_OUTPUT("", "blkfd list");
}

TEST_F(command, list_reads_the_mounts_once)
{
	EXPECT_OUTPUT("1\n", MAKE_FILE "blkfd exec $f -- blkfd exec $f -- \\\n"
		      "strace -o log -e openat blkfd list >table; grep -c mountinfo log");
}

TEST_F(command, list_and_info_do_not_do_without_proc)
{
	EXPECT_RUN(1, "/proc/self/mountinfo: No such file", MAKE_FILE
		   "blkfd exec $f -- unshare -m sh -c 'umount -l /proc; blkfd list --json'");
	EXPECT_RUN(1, "/proc/self/mountinfo: No such file",
		   "blkfd exec $f -- unshare -m sh -c 'id=$(blkfd list --json | jq .[0].id)\n"
		   "umount -l /proc; blkfd info $id'");
}

TEST_F(command, list_without_sys_does_not_blame_the_module)
{
	EXPECT_RUN(1, "/sys/class/misc/blkfd: No such file",
		   "unshare -m sh -c 'umount -l /sys; blkfd list'");
	EXPECT_RUN(1, "modprobe blkfd",
		   "unshare -m sh -c 'umount -l /sys; mount -t tmpfs none /dev; blkfd list'");
}

/* Anybody who may make devices can make one. */
TEST_F(command, list_knows_devices_of_files_whose_path_is_too_long)
{
	EXPECT_OUTPUT("[false]\n", "name=$(printf %0250d 0);\n"
		      "for i in $(seq 20); do mkdir $name; cd -P $name; done;\n"
		      "truncate -s 1M image; blkfd exec image -- blkfd list --json |\n"
		      "jq -c '[.[] | has(\"backing_file\")]'");
}

TEST_F(command, list_is_ascending_by_id)
{
	EXPECT_OUTPUT("true\n", MAKE_FILE "for i in 1 2 3 4 5 6 7 8 9 10 11; do\n"
		      "blkfd exec $f -- true; done;\n"
		      "blkfd exec $f -- blkfd exec $f -- blkfd list --json |\n"
		      "jq -c '[.[].id] | . == sort and length == 2'");
}

TEST_F(command, list_survives_devices_that_vanish)
{
	EXPECT_EQ(0, RUN(MAKE_FILE "(for i in $(seq 10); do\n"
			 "blkfd exec $f -- true; done) & \\\n"
			 "while kill -0 $! 2>/dev/null; do\n"
			 "blkfd list --json | jq -e . >/dev/null || exit 1;\n"
			 "done"))
		TH_LOG("%s", self->out);
}

TEST_F(command, info_by_path_and_by_name_agree)
{
	EXPECT_OUTPUT("true\n", MAKE_FILE "blkfd exec $f -- bash -c '\\\n"
		      "n=$(blkfd info --json {} | jq .[0].id);\n"
		      "blkfd info --json {} blkfd$n $n | jq -c \\\n"
		      "\"map(del(.creator_pid)) | unique | length == 1\"'");
}

TEST_F(command, info_keys_are_the_fields_of_the_interface)
{
	EXPECT_OUTPUT("backing_file\nbacking_ino\nbacking_major\n"
		      "backing_minor\nblock_size\ncreator_pid\n"
		      "creator_uid\ndev_major\ndev_minor\ndiscards\n"
		      "diskseq\nerrors\nflags\nflushes\nid\ninline_ios\n"
		      "length\nmounts\noffset\nread_bytes\nreads\n"
		      "worker_ios\nwould_block\nwrite_bytes\n"
		      "writes\n", MAKE_FILE
		      "blkfd exec $f -- blkfd info --json {} |\n"
		      "jq -r '.[0] | keys[]'");
}

TEST_F(command, info_counts_what_was_written)
{
	EXPECT_OUTPUT("1048576\n", MAKE_FILE "blkfd exec $f -- sh -c \\\n"
		      "'dd if=/dev/zero of={} bs=1M count=1 oflag=direct \\\n"
		      "status=none; blkfd info --json {}' |\n"
		      "jq '.[0].write_bytes'");
}

TEST_F(command, info_of_something_else_fails)
{
	EXPECT_RUN(1, "not a blkfd device", MAKE_FILE "blkfd info $f");
	EXPECT_RUN(1, "No such file", "blkfd info blkfd999999999");
	EXPECT_RUN(2, "DEVICE is needed", "blkfd info");
}

TEST_F(command, json_survives_any_file_name)
{
	EXPECT_OUTPUT("ok\n", "n=$'a\"b\\\\c\\nd\\t\\xff\\xc3\\xa9\\xc3';\n"
		      "blkfd exec --size 1M \"$n\" -- blkfd info --json {} >out;\n"
		      "jq -e '.[0].backing_file | contains(\"a\\\"b\")' out \\\n"
		      ">/dev/null && iconv -f UTF-8 -t UTF-8 out >/dev/null &&\n"
		      "grep -q 'udcff' out && echo ok");
}

/* Not the one that begins a terminal's orders in one byte, either. */
TEST_F(command, list_has_no_controls)
{
	EXPECT_OUTPUT("a\\033b\\302\\233c\\377d\\134\xc3\xa9\n",
		      "n=$'a\\x1bb\\xc2\\x9bc\\xffd\\\\\\xc3\\xa9';\n"
		      "blkfd exec --size 1M \"$n\" -- blkfd info {} >out;\n"
		      "sed -n 's,^backing_file: .*/,,p' out");
	EXPECT_OUTPUT("a\\u001bb\\u009bc\\udcffd\\\\\xc3\xa9\n",
		      "blkfd exec a* -- blkfd info --json {} >out;\n"
		      "sed -n 's,.*/\\(a[^\"]*\\)\".*,\\1,p' out");
}

/* limits */

/* Those that are closed still count for a moment. */
#define NO_DEVICES "until blkfd limits --json | jq -e '.devices == 0' >/dev/null\n" \
		   "do sleep 0.05; done;\n"

TEST_F(command, limits_says_who_has_how_many)
{
	EXPECT_OUTPUT("[4096,64,1024,2,2,[{\"uid\":0,\"devices\":2}]]\n",
		      NO_DEVICES MAKE_FILE
		      "blkfd exec $f -- blkfd exec $f -- blkfd limits --json |\n"
		      "jq -c '[.max_devices, .reserved, .max_user_devices,\n"
		      ".devices, .user_devices, .users]'");
	EXPECT_OUTPUT("devices: 1 of 4096, 64 of these for the initial user "
		      "namespace\nyours: 1 of 1024\n       UID    DEVICES\n"
		      "         0          1\n", NO_DEVICES
		      "blkfd exec $f -- blkfd limits");
	EXPECT_OUTPUT("[]\n", NO_DEVICES "blkfd limits --json | jq -c .users");
}

TEST_F(command, limits_keeps_what_is_not_for_all)
{
	EXPECT_OUTPUT("false\n", "setpriv --bounding-set -all \\\n"
		      "blkfd limits --json | jq 'has(\"users\")'");
	EXPECT_RUN(1, "/dev/blkfd: Permission denied",
		   "setpriv --reuid 61000 --clear-groups blkfd limits");
	EXPECT_EQ(2, RUN("blkfd limits more than one"));
	EXPECT_RUN(1, "Inappropriate ioctl", "blkfd limits /dev/null");
	EXPECT_RUN(1, "Inappropriate ioctl", "mkfifo p; timeout 60 blkfd limits p");
	EXPECT_EQ(2, RUN("blkfd limits --frob"));
}

/* instance and revoke */

TEST_F(command, instance_bounds_what_a_command_can_do)
{
	EXPECT_OUTPUT("1\n1\n0\n", MAKE_FILE
		      "blkfd instance --max-devices 1 -- sh -c '\n"
		      "blkfd exec $f -- sh -c \"blkfd exec $f -- true; echo \\$?\"\n"
		      "blkfd exec --size 2M big -- blkfd limits --json |\n"
		      "jq .instance.devices' 2>err;\n"
		      "blkfd exec $f -- blkfd exec $f -- true; echo $?");
	EXPECT_RUN(1, "as there may be for you",
		   "blkfd instance --max-bytes 1M -- blkfd exec big -- true");
	EXPECT_RUN(1, "allows for no such device", MAKE_FILE
		   "blkfd instance --read-only -- blkfd exec $f -- true");
	EXPECT_EQ(0, RUN(MAKE_FILE "blkfd instance --read-only -- \\\n"
			 "blkfd exec --read-only $f -- true"));
	EXPECT_EQ(127, RUN("blkfd instance -- no-such-command"));
}

TEST_F(command, instance_shows_its_bounds)
{
	EXPECT_OUTPUT("{\"flags\":[\"rdonly\"],\"denied_flags\":[\"direct\","
		      "\"nodiscard\"],\"block_sizes\":[512,4096],"
		      "\"max_devices\":3,\"max_bytes\":1048576,\"bytes\":0,"
		      "\"devices\":0}\n",
		      "blkfd instance --read-only --deny direct,no-discard \\\n"
		      "--block-sizes 512,4K --max-devices 3 --max-bytes 1M -- \\\n"
		      "blkfd limits --json | jq -c .instance");
	EXPECT_OUTPUT("here: 0 of 3, block sizes 512, rdonly, denied: direct\n",
		      "blkfd instance --read-only --deny direct --max-devices 3 \\\n"
		      "--block-sizes 512 -- blkfd limits | grep here");
	EXPECT_OUTPUT("0\n", "blkfd limits | grep -c here || true");
}

TEST_F(command, instance_has_a_path_until_it_is_unmounted)
{
	EXPECT_OUTPUT("640 61000 0\nrevoked\n1\n", MAKE_FILE
		      "blkfd instance --max-devices 1 --owner 61000:0 \\\n"
		      "--mode 640 control; stat -c '%a %u %g' control;\n"
		      "blkfd revoke control;\n"
		      "blkfd limits --json control | jq -r '.instance.flags[]';\n"
		      "mount --bind control /dev/blkfd; blkfd exec $f -- true 2>err;\n"
		      "echo $?; umount /dev/blkfd; umount control");
	EXPECT_RUN(0, "was revoked", "cat err");
}

/* As containers have what they are not to change. */
TEST_F(command, instance_may_be_bound_read_only)
{
	EXPECT_OUTPUT("[\"revoked\"]\n", MAKE_FILE
		      "blkfd instance --mode 440 control; mount --bind control /dev/blkfd;\n"
		      "mount -o remount,bind,ro /dev/blkfd; blkfd exec $f -- true &&\n"
		      "blkfd instance -- blkfd exec $f -- true && umount /dev/blkfd &&\n"
		      "mount -o remount,bind,ro control && blkfd revoke control &&\n"
		      "blkfd limits --json control | jq -c .instance.flags; umount control");
}

TEST_F(command, instance_owner_is_all_of_the_number)
{
	EXPECT_OUTPUT("61000 61001\n",
		      "blkfd instance --owner 0000000000000061000:0000000000000061001 \\\n"
		      "control; stat -c '%u %g' control; umount control");
	EXPECT_EQ(2, RUN("blkfd instance --owner 000000000000000root one"));
	EXPECT_EQ(2, RUN("blkfd instance --owner 99999999999999999999 one"));
	EXPECT_EQ(2, RUN("blkfd instance --owner 61000:61001:61002 one"));
	EXPECT_EQ(2, RUN("blkfd instance --owner 61000: one"));
	EXPECT_EQ(1, RUN("[ -e one ]"));
}

TEST_F(command, instance_within_another_is_no_wider)
{
	EXPECT_RUN(1, "smaller share", "blkfd instance --max-devices 2 -- \\\n"
		   "blkfd instance --max-devices 3 -- true");
	EXPECT_EQ(0, RUN("blkfd instance --max-devices 2 -- \\\n"
			 "blkfd instance --max-devices 2 -- true"));
}

TEST_F(command, instance_takes_no_0_for_a_bound)
{
	EXPECT_RUN(2, "max-devices: 0", "blkfd instance --max-devices 0 -- touch ran");
	EXPECT_RUN(2, "max-bytes: 0", "blkfd instance --max-bytes 0K -- touch ran");
	EXPECT_EQ(1, RUN("[ -e ran ]"));
}

TEST_F(command, instance_refuses_what_it_does_not_know)
{
	EXPECT_EQ(2, RUN("blkfd instance"));
	EXPECT_EQ(2, RUN("blkfd instance --"));
	EXPECT_EQ(2, RUN("blkfd instance one two"));
	EXPECT_EQ(2, RUN("blkfd instance path -- true"));
	EXPECT_EQ(2, RUN("blkfd instance --max-devices many path"));
	EXPECT_EQ(2, RUN("blkfd instance --block-sizes 1000 path"));
	EXPECT_RUN(2, "block-sizes: an empty list", "blkfd instance --block-sizes , path");
	EXPECT_EQ(2, RUN("blkfd instance --deny everything path"));
	EXPECT_EQ(2, RUN("blkfd instance --owner root path"));
	EXPECT_EQ(2, RUN("blkfd instance --mode 4755 path"));
	EXPECT_EQ(1, RUN("[ -e path ]"));
	EXPECT_RUN(1, "Not a directory", "touch file; blkfd instance file/path");
	EXPECT_RUN(1, "not an instance", "blkfd revoke /dev/null");
	EXPECT_EQ(2, RUN("blkfd revoke"));
	EXPECT_EQ(2, RUN("blkfd revoke --"));
	EXPECT_EQ(2, RUN("blkfd revoke --frob /dev/null"));
}

TEST_F(command, revoke_takes_paths_that_look_like_options)
{
	EXPECT_OUTPUT("revoked\n", "blkfd instance ./-path; blkfd revoke -- -path;\n"
		      "blkfd limits --json -- -path | jq -r '.instance.flags[]'; umount ./-path");
	EXPECT_RUN(0, "Usage: blkfd revoke", "blkfd revoke --help");
}

/* The command itself */

TEST_F(command, help_goes_to_stdout)
{
	EXPECT_RUN(0, "Usage: blkfd exec", "blkfd help 2>/dev/null");
	EXPECT_RUN(0, "--block-size", "blkfd mount --help 2>/dev/null");
}

/* Each difference is printed. */
TEST_F(command, completion_offers_the_options_of_help)
{
	EXPECT_OUTPUT("", ". /usr/share/bash-completion/bash_completion\n"
		      ". \"$(dirname \"$(command -v blkfd)\")\"/completion/blkfd\n"
		      "for c in $(blkfd help | sed -n '/help/!s/.* blkfd \\([a-z]*\\) .*/\\1/p'); do\n"
		      "COMP_WORDS=(blkfd $c -) COMP_CWORD=2 COMP_LINE=\"blkfd $c -\"\n"
		      "COMP_POINT=${#COMP_LINE}; _blkfd; printf '%s\\n' \"${COMPREPLY[@]}\" |\n"
		      "grep -vx -e -- | sort >offered\n"
		      "{ blkfd help $c | grep -oE -- '^ +(-[a-z], )?--[a-z-]+' |\n"
		      "grep -oE -- '-[-a-z]+'; echo --help; } | sort |\n"
		      "diff - offered; done; [ $c = revoke ]");
}

/* Unless something else is in it. */
TEST_F(command, uninstall_leaves_no_directory_of_its_own)
{
	EXPECT_OUTPUT("blkfd.conf\nroot/usr/local/share/blkfd/others\n",
		      "in_tools() { make -s -o all -C \"$(dirname \"$(command -v blkfd)\")\" \\\n"
		      "DESTDIR=$PWD/root $1 >>log 2>&1 || cat log; }\n"
		      "in_tools install; ls root/usr/local/share/blkfd | grep conf; in_tools uninstall\n"
		      "find root -name '*blkfd*'; in_tools install; : >root/usr/local/share/blkfd/others\n"
		      "in_tools uninstall; find root -type f");
}

TEST_F(command, unknown_words_are_misuse)
{
	EXPECT_RUN(2, "no command 'frob'", "blkfd frob");
	EXPECT_EQ(2, RUN("blkfd"));
	EXPECT_EQ(2, RUN("blkfd list --frob"));
	EXPECT_EQ(2, RUN("blkfd list more"));
}

TEST_F(command, a_full_stdout_is_an_error)
{
	EXPECT_RUN(1, "standard output", "blkfd help >/dev/full");
}

TEST_F(command, a_closed_stdout_is_an_error)
{
	EXPECT_RUN(1, "standard output: Bad file", "blkfd --version >&-");
	EXPECT_RUN(1, "standard output: Bad file", "blkfd list --json <&- >&-");
	EXPECT_EQ(1, RUN("blkfd --version >&- 2>&-"));
}

TEST_F(command, exec_opens_nothing_that_was_closed_to_the_command)
{
	EXPECT_RUN(1, "write error: Bad file", MAKE_FILE "blkfd exec $f -- cat /proc/version >&-");
	EXPECT_RUN(1, "Bad file", "blkfd exec $f -- cat <&-");
}

/* It is needed where one of the three was closed. */
TEST_F(command, without_dev_null_one_line_says_so)
{
	EXPECT_RUN(1, "blkfd: /dev/null: No such file",
		   "unshare -m sh -c 'mount -t tmpfs none /dev; blkfd help <&-'");
}

TEST_F(command, without_the_module_one_line_says_so)
{
	EXPECT_OUTPUT("1\n2\n", MAKE_FILE "unshare -m sh -c '\\\n"
		      "mount -t tmpfs none /dev; : >/dev/null;\n"
		      "blkfd exec $f -- true 2>&1 | grep -c modprobe\n"
		      "mount.blkfd $f $d 2>err; echo $?'");
}

TEST_HARNESS_MAIN
