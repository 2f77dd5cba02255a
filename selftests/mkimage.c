// SPDX-License-Identifier: GPL-2.0
/*
 * examples/mkimage: what is in the tree is in the image, whatever kind it is,
 * and a build that fails leaves nothing; those that are killed are in kills.c. Trees
 * and images lie on tmpfs; the one that holds the images shows by its free space
 * what is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pty.h>
#include <sched.h>
#include <search.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "kselftest_harness.h"
#include "libblkfd.h"
#include "testlib.h"

#define TREE		TEST_DIR "/tree"
#define IMAGES		TEST_DIR "/images"
#define IMAGE		IMAGES "/image"

/* Two trees are compared: each difference is printed; all return how many. */

struct pair {
	int from;
	int to;
	const char *name;
};

static int differ(const struct pair *pair, const char *what)
{
	fprintf(stderr, "# %s: %s differs\n", pair->name, what);
	return 1;
}

static int compare_strings(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static void item_path(char *path, size_t size, int dir, const char *name)
{
	snprintf(path, size, "/proc/self/fd/%d/%s", dir, name);
}

/* All of them with their values, in order, as one text: its length, or -1. */
static ssize_t collect_xattrs(int dir, const char *name, char *text, size_t size)
{
	char path[300], list[4096], *names[64];
	ssize_t length, count = 0, used = 0;

	item_path(path, sizeof(path), dir, name);
	length = llistxattr(path, list, sizeof(list));
	/* By that name XFS shows an ACL that is among them anyway. */
	for (char *at = list; at < list + length; at += strlen(at) + 1)
		if (strncmp(at, "trusted.SGI_ACL_", 16))
			names[count++] = at;
	qsort(names, MAX(count, 0), sizeof(names[0]), compare_strings);
	for (ssize_t i = 0; length >= 0 && i < count; i++) {
		strcpy(text + used, names[i]);
		used += strlen(names[i]) + 1;
		length = lgetxattr(path, names[i], text + used, size - used - sizeof(list));
		used += length;
	}
	return length < 0 ? length : used;
}

static int compare_xattrs(const struct pair *pair)
{
	static char from[65536], to[65536];
	ssize_t from_size = collect_xattrs(pair->from, pair->name, from, sizeof(from));
	ssize_t to_size = collect_xattrs(pair->to, pair->name, to, sizeof(to));

	if (from_size < 0 || from_size != to_size || memcmp(from, to, to_size))
		return differ(pair, "an extended attribute");
	return 0;
}

static int compare_stat(const struct pair *pair, const struct stat *from, const struct stat *to)
{
	bool is_dir = S_ISDIR(from->st_mode);
	int found = 0;

	if (from->st_mode != to->st_mode)
		found += differ(pair, "mode");
	if (from->st_uid != to->st_uid || from->st_gid != to->st_gid)
		found += differ(pair, "owner");
	if (from->st_mtim.tv_sec != to->st_mtim.tv_sec ||
	    from->st_mtim.tv_nsec != to->st_mtim.tv_nsec)
		found += differ(pair, "mtime");
	if (!is_dir && from->st_size != to->st_size)
		found += differ(pair, "size");
	if (!is_dir && from->st_nlink != to->st_nlink)
		found += differ(pair, "number of links");
	if (from->st_rdev != to->st_rdev)
		found += differ(pair, "device number");
	return found;
}

static int compare_contents(const struct pair *pair)
{
	static char from[65536], to[65536];
	int from_fd = openat(pair->from, pair->name, O_RDONLY | O_CLOEXEC);
	int to_fd = openat(pair->to, pair->name, O_RDONLY | O_CLOEXEC);
	ssize_t from_size, to_size;

	do {
		from_size = read(from_fd, from, sizeof(from));
		to_size = read(to_fd, to, sizeof(to));
	} while (from_size > 0 && from_size == to_size && !memcmp(from, to, to_size));
	close(from_fd);
	close(to_fd);
	return from_size || to_size ? differ(pair, "contents") : 0;
}

static int compare_targets(const struct pair *pair)
{
	char from[PATH_MAX] = "", to[PATH_MAX] = "";

	if (readlinkat(pair->from, pair->name, from, sizeof(from) - 1) < 0 ||
	    readlinkat(pair->to, pair->name, to, sizeof(to) - 1) < 0 || strcmp(from, to))
		return differ(pair, "target");
	return 0;
}

static int compare_dirs(int from, int to);

static int compare_below(const struct pair *pair)
{
	int from = openat(pair->from, pair->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = openat(pair->to, pair->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int found = compare_dirs(from, to);

	close(from);
	close(to);
	return found;
}

static int compare_items(const struct pair *pair)
{
	struct stat from, to;
	int found;

	if (fstatat(pair->from, pair->name, &from, AT_SYMLINK_NOFOLLOW) ||
	    fstatat(pair->to, pair->name, &to, AT_SYMLINK_NOFOLLOW))
		return differ(pair, "existence");
	found = compare_stat(pair, &from, &to) + compare_xattrs(pair);
	if (found)
		return found;
	if (S_ISREG(from.st_mode))
		return compare_contents(pair);
	if (S_ISLNK(from.st_mode))
		return compare_targets(pair);
	return S_ISDIR(from.st_mode) ? compare_below(pair) : 0;
}

/* mkfs.ext4 makes one, whatever the tree has. */
static int is_compared(const struct dirent *entry)
{
	return strcmp(entry->d_name, "..") && strcmp(entry->d_name, "lost+found");
}

static int compare_dirs(int from, int to)
{
	struct dirent **names, **others;
	int count = scandirat(from, ".", &names, is_compared, alphasort);
	int other_count = scandirat(to, ".", &others, is_compared, alphasort);
	struct pair pair = { from, to, "a directory" };

	if (count <= 0 || count != other_count)
		return differ(&pair, "number of entries");
	other_count = 0;
	for (int i = 0; i < count; i++) {
		pair.name = names[i]->d_name;
		/* The directory itself: its parent has compared it, or nobody. */
		if (strcmp(pair.name, "."))
			other_count += compare_items(&pair);
	}
	return other_count;
}

/* Building */

static const char *program(void)
{
	static char path[PATH_MAX];
	char self[PATH_MAX] = "";

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return "mkimage";
	snprintf(path, sizeof(path), "%s/../examples/mkimage", dirname(self));
	return path;
}

#define mkimage(...)	test_command(program(), __VA_ARGS__)

/* Its status, and in refusal what it says: for a build that should fail. */
static char refusal[8192];

#define refused(...)	test_output(refusal, sizeof(refusal), program(), __VA_ARGS__)

/* The file system in the image, read-only, as a descriptor of its top. */
static int open_image(const char *type)
{
	int image = open(IMAGE, O_RDONLY | O_CLOEXEC);
	int device = blkfd_create(image, NULL);
	int mount = blkfd_fsmount(device, type, NULL, MOUNT_ATTR_RDONLY);
	int top = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	close(image);
	close(device);
	close(mount);
	return top;
}

static int check_image(const char *type)
{
	if (!strcmp(type, "xfs"))
		return test_command("xfs_repair", "-n", "-f", IMAGE);
	if (!strcmp(type, "ext4"))
		return test_command("e2fsck", "-f", "-n", IMAGE);
	return test_command("btrfs", "check", "--readonly", IMAGE);
}

/* 0: it is built, and what is in it is what is in the tree. */
static int build_and_compare(const char *type)
{
	int tree = open(TREE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pair tops = { .from = tree, .name = "." };
	int found;

	found = mkimage("-t", type, TREE, IMAGE);
	if (found)
		return found;
	tops.to = open_image(type);
	found = compare_items(&tops);
	close(tops.to);
	close(tree);
	return found;
}

static int make_file(const char *path, size_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int ret = test_write_pattern(fd, 0, size, size);

	close(fd);
	return ret;
}

static int make_files(const char *dir, int count, size_t size)
{
	char path[PATH_MAX];
	int ret = mkdir(dir, 0755);

	for (int i = 0; !ret && i < count; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		ret = make_file(path, size);
	}
	return ret;
}

static uint64_t free_space(const char *path)
{
	struct statfs vfs;

	return statfs(path, &vfs) ? 0 : vfs.f_bfree;
}

static int count_images(void)
{
	struct dirent **names;

	return scandir(IMAGES, &names, is_compared, NULL) - 1;
}

struct before {
	uint64_t space;
	int mounts;
};

static bool space_is_free(void *before)
{
	return free_space(IMAGES) == ((struct before *)before)->space;
}

/* No device, no file, no space taken, no mount. */
static bool nothing_left(struct before *before)
{
	return test_wait_none() && test_wait(space_is_free, before, TEST_TIMEOUT_MS) &&
	       test_count_mounts() == before->mounts && count_images() == 0;
}

/* What is to be kept, each kind in a directory of its own. 0: it is made. */

static int make_owners_and_modes(void)
{
	return mkdir("owners", 0755) || make_file("owners/file", 8) ||
	       mkdir("owners/dir", 0755) || symlink("file", "owners/link") ||
	       chown("owners/file", 1234, 4321) || chmod("owners/file", 06711) ||
	       chown("owners/dir", 70000, 0) || chmod("owners/dir", 03775) ||
	       lchown("owners/link", 5, 6) || chown(".", 7, 8) || chmod(".", 01770);
}

static int make_times(void)
{
	struct timespec past[] = { { .tv_sec = 86400 }, { 981173106, 123456789 } };
	struct timespec future[] = { { .tv_sec = 86400 }, { 4113162061, 1 } };

	return make_files("times", 2, 8) || symlink("nowhere", "times/link") ||
	       utimensat(AT_FDCWD, "times/0", past, 0) ||
	       utimensat(AT_FDCWD, "times/1", future, 0) ||
	       utimensat(AT_FDCWD, "times/link", past, AT_SYMLINK_NOFOLLOW) ||
	       utimensat(AT_FDCWD, "times", past, 0) ||
	       utimensat(AT_FDCWD, ".", past, 0);
}

static int make_links(void)
{
	return mkdir("links", 0755) || make_file("links/file", 8) ||
	       mkdir("links/dir", 0755) || link("links/file", "links/dir/hard") ||
	       symlink("../file", "links/dir/soft") ||
	       link("links/dir/soft", "links/soft");
}

/* Of revision 2: CAP_NET_RAW, permitted and effective. */
static const char capability[20] = { 1, 0, 0, 2, 0, 0x20 };

static int make_xattrs(void)
{
	return mkdir("xattrs", 0755) || make_file("xattrs/file", 8) ||
	       symlink("file", "xattrs/link") ||
	       mknod("xattrs/null", S_IFCHR | 0600, makedev(1, 3)) ||
	       chown("xattrs/file", 1, 1) ||
	       setxattr("xattrs/file", "security.capability", capability, 20, 0) ||
	       setxattr("xattrs/file", "user.empty", "", 0, 0) ||
	       setxattr("xattrs/file", "user.text", "a\0b", 3, 0) ||
	       lsetxattr("xattrs/link", "trusted.link", "x", 1, 0) ||
	       lsetxattr("xattrs/null", "trusted.node", "y", 1, 0) ||
	       setxattr(".", "user.top", "z", 1, 0);
}

static int make_acls(void)
{
	return make_files("acls", 1, 8) ||
	       test_command("setfacl", "-m", "u:77:r,g:88:rwx", "acls/0") ||
	       test_command("setfacl", "-m", "m::rx", "acls") ||
	       test_command("setfacl", "-d", "-m", "u:99:rwx", "acls");
}

static int make_holes(void)
{
	int file, ret;

	if (mkdir("holes", 0755) || close(test_file("holes/hole", 9 * TEST_MIB, 0)))
		return -1;
	file = test_file("holes/sparse", 64 * TEST_MIB, 0);
	ret = test_write_pattern(file, 20 * TEST_MIB, TEST_MIB, 1) ||
	      test_write_pattern(file, 40 * TEST_MIB, 4096, 2);
	return close(file) || ret;
}

static int make_special_files(void)
{
	struct sockaddr_un address = { AF_UNIX, "special/socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return mkdir("special", 0755) ||
	       bind(fd, (struct sockaddr *)&address, sizeof(address)) || close(fd) ||
	       lchown("special/socket", 9, 10) || mkfifo("special/fifo", 0622) ||
	       mknod("special/char", S_IFCHR | 0640, makedev(4, 64)) ||
	       mknod("special/block", S_IFBLK | 0600, makedev(259, 70000));
}

static int make_names(void)
{
	char name[NAME_MAX + 1] = "";

	memset(name, 'x', NAME_MAX);
	return mkdir("empty", 0755) || make_file(name, 8) || make_file("-n", 24) ||
	       make_file("\n \t\x01\xff\"'\\*", 16);
}

static uint64_t allocated(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) ? UINT64_MAX : st.st_blocks * 512ULL;
}

/*
 * Asked in this way, the kernel seeds its random numbers if nothing has: until
 * it has, every mkfs polls for them for seconds.
 */
static bool seed_random(void)
{
	char byte;

	return getrandom(&byte, 1, 0) == 1;
}

FIXTURE(image) {
	struct before before;
};

FIXTURE_VARIANT(image) {
	const char *type;
};

FIXTURE_VARIANT_ADD(image, xfs) {
	.type = "xfs",
};

FIXTURE_VARIANT_ADD(image, ext4) {
	.type = "ext4",
};

FIXTURE_VARIANT_ADD(image, btrfs) {
	.type = "btrfs",
};

FIXTURE_SETUP(image)
{
	umask(022);
	ASSERT_TRUE(seed_random());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_tmpfs(IMAGES));
	ASSERT_EQ(0, mkdir(TREE, 0755));
	self->before.space = free_space(IMAGES);
	self->before.mounts = test_count_mounts();
	ASSERT_NE(0, self->before.space);
}

FIXTURE_TEARDOWN(image)
{
}

TEST_F(image, keeps_every_kind_of_file_and_attribute)
{
	struct stat one, other;
	int top;

	ASSERT_EQ(0, chdir(TREE));
	ASSERT_EQ(0, make_links());
	ASSERT_EQ(0, make_xattrs());
	ASSERT_EQ(0, make_acls());
	ASSERT_EQ(0, make_holes());
	ASSERT_EQ(0, make_special_files());
	ASSERT_EQ(0, make_names());
	ASSERT_EQ(0, make_owners_and_modes());
	ASSERT_EQ(0, make_times());
	ASSERT_EQ(0, build_and_compare(variant->type));
	top = open_image(variant->type);
	EXPECT_EQ(0, allocated(top, "holes/hole"));
	EXPECT_EQ(TEST_MIB + 4096, allocated(top, "holes/sparse"));
	ASSERT_EQ(0, fstatat(top, "links/file", &one, 0));
	ASSERT_EQ(0, fstatat(top, "links/dir/hard", &other, 0));
	EXPECT_EQ(one.st_ino, other.st_ino);
}

TEST_F(image, holds_many_files_at_its_default_size)
{
	ASSERT_EQ(0, make_files(TREE "/many", 1000, 3000));
	EXPECT_EQ(0, build_and_compare(variant->type));
}

TEST_F(image, holds_a_large_file_at_its_default_size)
{
	ASSERT_EQ(0, make_file(TREE "/large", 100 * TEST_MIB));
	EXPECT_EQ(0, build_and_compare(variant->type));
}

/* What the log takes when it is zeroed by mkfs.xfs is the most of it. */
TEST_F(image, is_sparse_and_passes_fsck)
{
	ASSERT_EQ(0, make_files(TREE "/dir", 50, 10000));
	ASSERT_EQ(0, mkimage("-t", variant->type, "--check", "-s", "2G", TREE, IMAGE));
	EXPECT_GT(100 * TEST_MIB, allocated(AT_FDCWD, IMAGE));
	EXPECT_EQ(0, check_image(variant->type));
}

TEST_F(image, has_label_and_uuid)
{
	const char *uuid = "12345678-9abc-def0-1234-56789abcdef0";
	char out[256];

	ASSERT_EQ(0, mkimage("-t", variant->type, "-L", "a-label", "-U", uuid, TREE, IMAGE));
	ASSERT_EQ(0, test_output(out, sizeof(out), "blkid", "-p", "-o", "value", "-s", "LABEL",
				 "-s", "UUID", IMAGE));
	EXPECT_NE(NULL, strstr(out, "a-label"));
	EXPECT_NE(NULL, strstr(out, uuid));
}

TEST_F(image, too_small_says_what_is_needed_and_leaves_nothing)
{
	const char *size = strcmp(variant->type, "ext4") ? "300M" : "64M";

	ASSERT_EQ(0, make_file(TREE "/large", 320 * TEST_MIB));
	ASSERT_EQ(1, refused("-t", variant->type, "-s", size, TREE, IMAGE));
	EXPECT_NE(NULL, strstr(refusal, "the image is full")) TH_LOG("%s", refusal);
	EXPECT_TRUE(nothing_left(&self->before));
}

TEST_F(image, of_a_full_file_system_leaves_nothing)
{
	ASSERT_EQ(0, make_file(TREE "/large", 100 * TEST_MIB));
	ASSERT_EQ(0, mount(NULL, IMAGES, NULL, MS_REMOUNT, "size=90M"));
	self->before.space = free_space(IMAGES);
	EXPECT_EQ(1, refused("-t", variant->type, TREE, IMAGE));
	EXPECT_TRUE(nothing_left(&self->before));
}

FIXTURE(build) {
	struct before before;
};

FIXTURE_SETUP(build)
{
	ASSERT_TRUE(seed_random());
	ASSERT_TRUE(test_wait_none());
	ASSERT_EQ(0, test_private_mounts());
	ASSERT_EQ(0, test_tmpfs(IMAGES));
	ASSERT_EQ(0, make_files(TREE, 5, 1000));
	self->before.space = free_space(IMAGES);
	self->before.mounts = test_count_mounts();
}

FIXTURE_TEARDOWN(build)
{
}

TEST_F(build, refuses_an_existing_image)
{
	int fd;

	ASSERT_EQ(0, make_file(IMAGE, 4096));
	ASSERT_EQ(1, refused(TREE, IMAGE));
	EXPECT_STREQ("mkimage: " IMAGE ": File exists\n", refusal);
	fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(0, test_check_pattern(fd, 0, 4096, 4096));
}

TEST_F(build, refuses_a_dangling_link_as_image)
{
	ASSERT_EQ(0, symlink("nowhere", IMAGE));
	EXPECT_EQ(1, refused(TREE, IMAGE));
	EXPECT_EQ(1, count_images());
}

static pid_t start_build(const char *type)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	execl(program(), program(), "-t", type, TREE, IMAGE, NULL);
	_exit(127);
}

static bool is_building(void *unused)
{
	return test_count_devices() > 0;
}

TEST_F(build, does_not_replace_an_image_that_appears_meanwhile)
{
	pid_t pid = start_build("xfs");
	int fd;

	ASSERT_TRUE(test_wait(is_building, NULL, TEST_TIMEOUT_MS));
	ASSERT_EQ(0, make_file(IMAGE, 4096));
	EXPECT_EQ(1, test_reap(pid));
	fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(0, test_check_pattern(fd, 0, 4096, 4096));
	ASSERT_EQ(0, unlink(IMAGE));
	close(fd);
	EXPECT_TRUE(nothing_left(&self->before));
}

/* A root without the capabilities to pass over modes. */
TEST_F(build, of_a_file_that_cannot_be_opened_leaves_nothing)
{
	ASSERT_EQ(0, chown(TREE "/3", 1, 1));
	ASSERT_EQ(0, chmod(TREE "/3", 0));
	EXPECT_EQ(1, test_output(refusal, sizeof(refusal), "setpriv", "--bounding-set",
				 "-dac_override,-dac_read_search", program(), TREE, IMAGE));
	EXPECT_STREQ("mkimage: 3: cannot be opened: Permission denied\n", refusal);
	EXPECT_TRUE(nothing_left(&self->before));
}

#define HOSTILE_NAME	TREE "/a\x1b[b\xc2\x9b\xff\\\xc3\xa9"

TEST_F(build, shows_no_controls_of_names)
{
	ASSERT_EQ(0, setenv("LC_ALL", "C.UTF-8", 1));
	ASSERT_EQ(0, rename(TREE "/3", HOSTILE_NAME));
	ASSERT_EQ(0, chown(HOSTILE_NAME, 1, 1));
	ASSERT_EQ(0, chmod(HOSTILE_NAME, 0));
	ASSERT_EQ(0, mkdir(TREE "/\n", 0755));
	ASSERT_EQ(0, test_tmpfs(TREE "/\n/\t"));
	EXPECT_EQ(1, test_output(refusal, sizeof(refusal), "setpriv", "--bounding-set",
				 "-dac_override,-dac_read_search", program(), TREE, IMAGE));
	EXPECT_STREQ("mkimage: \\012/\\011: something is mounted there: left empty "
		     "(--cross-mounts takes it in)\n"
		     "mkimage: a\\033[b\\302\\233\\377\\134\xc3\xa9: cannot be opened: "
		     "Permission denied\n", refusal);
}

/* Those of attributes are in the tree, too. */
TEST_F(build, shows_no_controls_of_attributes)
{
	static char value[20000];

	ASSERT_EQ(0, setxattr(TREE "/3", "user.\x1b[m", value, sizeof(value), 0));
	ASSERT_EQ(1, refused("-t", "ext4", TREE, IMAGE));
	EXPECT_NE(NULL, strstr(refusal, "mkimage: 3: user.\\033[m: ")) TH_LOG("%s", refusal);
}

/* A file of sysfs ends before the size that it claims. */
TEST_F(build, of_a_file_that_ends_early_leaves_nothing)
{
	ASSERT_EQ(0, mount("/sys/kernel/uevent_seqnum", TREE "/3", NULL, MS_BIND, NULL));
	self->before.mounts = test_count_mounts();
	ASSERT_EQ(1, refused("--cross-mounts", TREE, IMAGE));
	EXPECT_NE(NULL, strstr(refusal, "3: was changed")) TH_LOG("%s", refusal);
	EXPECT_TRUE(nothing_left(&self->before));
}

/* It has another number there than in its /proc. */
TEST_F(build, in_a_process_namespace_that_has_no_proc)
{
	char line[256];

	snprintf(line, sizeof(line), "unshare --pid --fork %s --check " TREE " " IMAGE,
		 program());
	EXPECT_EQ(0, test_shell(refusal, sizeof(refusal), line)) TH_LOG("%s", refusal);
	EXPECT_EQ(1, count_images());
}

TEST_F(build, says_nothing_when_stderr_is_no_terminal)
{
	ASSERT_EQ(0, refused("--check", TREE, IMAGE));
	EXPECT_STREQ("", refusal);
}

/* What it wrote to a terminal; its status is 0 or the answer empty. */
static const char *terminal_output(char *out, size_t size, const char *option)
{
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
	ssize_t got, used = 0;

	if (!pid) {
		execl(program(), program(), "--check", option, TREE, IMAGE, NULL);
		_exit(127);
	}
	/* EIO is the end of a terminal. */
	while ((got = read(terminal, out + used, size - 1 - used)) > 0)
		used += got;
	out[test_reap(pid) ? 0 : used] = '\0';
	close(terminal);
	return out;
}

TEST_F(build, shows_progress_on_a_terminal)
{
	char out[65536];

	terminal_output(out, sizeof(out), "--check");
	EXPECT_NE(NULL, strstr(out, "mkfs.xfs"));
	EXPECT_NE(NULL, strstr(out, "copying"));
	EXPECT_NE(NULL, strstr(out, "xfs_repair"));
	EXPECT_EQ(0, strcmp(out + strlen(out) - 4, "\r\033[K"));
}

TEST_F(build, quiet_says_nothing_on_a_terminal)
{
	char out[4096];

	EXPECT_STREQ("", terminal_output(out, sizeof(out), "--quiet"));
	EXPECT_EQ(1, count_images());
}

TEST_F(build, leaves_out_other_file_systems)
{
	struct stat st;
	int top;

	ASSERT_EQ(0, test_tmpfs(TREE "/other"));
	ASSERT_EQ(0, make_file(TREE "/other/file", 8));
	ASSERT_EQ(0, refused(TREE, IMAGE));
	EXPECT_NE(NULL, strstr(refusal, "other: something is mounted there"));
	top = open_image("xfs");
	ASSERT_EQ(0, fstatat(top, "other", &st, 0));
	EXPECT_EQ(-1, fstatat(top, "other/file", &st, 0));
}

TEST_F(build, takes_in_other_file_systems_when_asked)
{
	struct stat st;

	ASSERT_EQ(0, test_tmpfs(TREE "/other"));
	ASSERT_EQ(0, make_file(TREE "/other/file", 8));
	ASSERT_EQ(0, mkimage("--cross-mounts", TREE, IMAGE));
	EXPECT_EQ(0, fstatat(open_image("xfs"), "other/file", &st, 0));
}

TEST_F(build, needs_a_file_system_with_o_tmpfile)
{
	ASSERT_EQ(1, refused(TREE, "/sys/kernel/image"));
	EXPECT_NE(NULL, strstr(refusal, "O_TMPFILE")) TH_LOG("%s", refusal);
}

TEST_F(build, passes_options_on_to_mkfs)
{
	char out[4096];

	ASSERT_EQ(0, mkimage("--mkfs-option", "-b", "--mkfs-option", "size=1024", TREE, IMAGE));
	ASSERT_EQ(0, test_output(out, sizeof(out), "blkid", "-p", "-o", "value", "-s",
				 "FSBLOCKSIZE", IMAGE));
	EXPECT_STREQ("1024\n", out);
}

TEST_F(build, shows_what_mkfs_says_when_it_fails)
{
	ASSERT_EQ(1, refused("-s", "16M", TREE, IMAGE));
	EXPECT_NE(NULL, strstr(refusal, "mkimage: mkfs.xfs failed\n"));
	EXPECT_LT(strlen("mkimage: mkfs.xfs failed\n"), strlen(refusal));
	EXPECT_TRUE(nothing_left(&self->before));
}

/* The third fsync is of the directory, once the image has its name. */
TEST_F(build, whose_name_may_be_lost_leaves_nothing)
{
	EXPECT_EQ(1, test_output(refusal, sizeof(refusal), "strace", "-o", TEST_DIR "/log", "-e",
				 "inject=fsync:error=EIO:when=3", program(), TREE, IMAGE));
	EXPECT_STREQ("mkimage: " IMAGE ": its directory: Input/output error\n", refusal);
	EXPECT_TRUE(nothing_left(&self->before));
}

TEST_F(build, help_that_cannot_be_printed_is_an_error)
{
	EXPECT_EQ(1, test_command("sh", "-c", "\"$0\" --help >/dev/full", program()));
	EXPECT_EQ(1, test_command("sh", "-c", "\"$0\" --help >&-", program()));
}

TEST_F(build, ends_though_sigchld_is_ignored)
{
	EXPECT_EQ(0, test_output(refusal, sizeof(refusal), "env", "--ignore-signal=CHLD",
				 program(), TREE, IMAGE)) TH_LOG("%s", refusal);
	EXPECT_EQ(1, count_images());
}

/* What it says when it finds that no holes can be punched is not for the image. */
TEST_F(build, writes_no_message_into_the_image)
{
	int fd;

	ASSERT_EQ(0, mount("none", IMAGES, "ramfs", 0, NULL));
	EXPECT_EQ(0, test_command("bash", "-c", "exec \"$0\" \"$@\" <&- 2>&-", program(),
				  "-t", "ext4", "-s", "16M", "--mkfs-option", "-b",
				  "--mkfs-option", "1024", TREE, IMAGE));
	fd = open(IMAGE, O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(0, test_check_zero(fd, 0, 1024));
}

TEST_F(build, refuses_wrong_usage_with_status_2)
{
	EXPECT_EQ(2, refused(TREE));
	EXPECT_EQ(2, refused("-t", "vfat", TREE, IMAGE));
	EXPECT_EQ(2, refused("-s", "4097", TREE, IMAGE));
	EXPECT_EQ(2, refused("-s", "99999999E", TREE, IMAGE));
	EXPECT_EQ(2, refused("-s", "0x10000000", TREE, IMAGE));
	EXPECT_EQ(2, refused("-L", "thirteenbytes", TREE, IMAGE));
	EXPECT_EQ(0, count_images());
}

TEST_F(build, takes_a_size_in_decimal)
{
	struct stat st;

	ASSERT_EQ(0, mkimage("-t", "ext4", "-s", "016M", TREE, IMAGE));
	ASSERT_EQ(0, stat(IMAGE, &st));
	EXPECT_EQ(16 * TEST_MIB, st.st_size);
}

/* examples/minimal */

TEST_F(build, by_the_smallest_example_has_its_file)
{
	const char *line = "env --ignore-signal=CHLD ${0%mkimage}minimal $1 0x1000000 &&\n"
			   "debugfs -R 'cat hello' $1";

	EXPECT_EQ(0, test_output(refusal, sizeof(refusal), "sh", "-c", line, program(), IMAGE))
		TH_LOG("%s", refusal);
	EXPECT_NE(NULL, strstr(refusal, "Hello from a device without a name.\n"));
	EXPECT_EQ(0, check_image("ext4"));
	EXPECT_TRUE(test_wait_none());
}

TEST_HARNESS_MAIN
