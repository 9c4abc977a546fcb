// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extended attributes through the library: as the host has them.
 */
#include "world.h"

#include <linux/limits.h>
#include <sys/xattr.h>

static void test_values(void **state)
{
	struct causeway *c = peer->c;
	char value[32] = "";

	put("f", "x");
	assert_int_equal(symlink("f", "l"), 0);
	assert_good(causeway_setxattr(c, NULL, "f", "user.a", "hello", 5, 0, 0));
	assert_int_equal(getxattr("f", "user.a", value, sizeof(value)), 5);
	assert_string_equal(value, "hello");
	assert_int_equal(causeway_getxattr(c, NULL, "l", "user.a", NULL, 0, 0), 5);
	assert_int_equal(causeway_getxattr(c, NULL, "l", "user.a", value, 4, 0), -ERANGE);
	memset(value, 0, sizeof(value));
	assert_int_equal(causeway_getxattr(c, NULL, "l", "user.a", value, 5, 0), 5);
	assert_string_equal(value, "hello");
	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.b", value, 5, 0), -ENODATA);
	assert_int_equal(causeway_setxattr(c, NULL, "f", "user.a", "", 0, XATTR_CREATE, 0),
		-EEXIST);
	assert_int_equal(causeway_setxattr(c, NULL, "f", "user.b", "", 0, XATTR_REPLACE, 0),
		-ENODATA);
	assert_good(causeway_setxattr(c, NULL, "f", "user.a", NULL, 0, XATTR_REPLACE, 0));
	assert_int_equal(getxattr("f", "user.a", NULL, 0), 0);
	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.a", value, sizeof(value), 0), 0);
	assert_good(causeway_removexattr(c, NULL, "l", "user.a", 0));
	assert_int_equal(getxattr("f", "user.a", NULL, 0), -1);
	assert_int_equal(causeway_removexattr(c, NULL, "f", "user.a", 0), -ENODATA);
	/* A symbolic link has no attributes of users. */
	assert_int_equal(causeway_setxattr(c, NULL, "l", "user.a", "x", 1, 0, AT_SYMLINK_NOFOLLOW),
		-EPERM);
	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.a", NULL, 0, AT_REMOVEDIR), -EINVAL);
	assert_int_equal(causeway_getxattr(c, NULL, "none", "user.a", NULL, 0, 0), -ENOENT);
}

static void test_bounds(void **state)
{
	struct causeway *c = peer->c;
	char name[300], *value = malloc(XATTR_SIZE_MAX + 1);

	assert_non_null(value);
	put("f", "x");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	memset(value, 'v', XATTR_SIZE_MAX + 1);
	for (int i = 0; i < 2; i++) {
		const char *bad = i ? name : "";

		assert_int_equal(causeway_setxattr(c, NULL, "f", bad, "x", 1, 0, 0), -ERANGE);
		assert_int_equal(causeway_getxattr(c, NULL, "f", bad, NULL, 0, 0), -ERANGE);
		assert_int_equal(causeway_removexattr(c, NULL, "f", bad, 0), -ERANGE);
	}
	name[255] = '\0';
	assert_good(causeway_setxattr(c, NULL, "f", name, "x", 1, 0, 0));
	assert_int_equal(getxattr("f", name, NULL, 0), 1);
	assert_int_equal(causeway_setxattr(c, NULL, "f", "user.v", value, XATTR_SIZE_MAX + 1, 0, 0),
		-E2BIG);
	/* What the host's file system has no room for is its own affair; 2000 bytes have room. */
	assert_good(causeway_setxattr(c, NULL, "f", "user.v", value, 2000, 0, 0));
	memset(value, 0, XATTR_SIZE_MAX);
	assert_int_equal(causeway_getxattr(c, NULL, "f", "user.v", value, XATTR_SIZE_MAX + 1, 0),
		2000);
	assert_int_equal(value[1999], 'v');
	free(value);
}

static bool has(const char *list, ssize_t n, const char *name)
{
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(list + at) + 1) {
		if (strcmp(list + at, name) == 0)
			return true;
	}
	return false;
}

static void test_lists(void **state)
{
	struct causeway *c = peer->c;
	struct causeway_file *f;
	char list[256];
	ssize_t n;

	put("f", "x");
	assert_int_equal(setxattr("f", "user.one", "1", 1, 0), 0);
	f = must_open("f", O_RDONLY);
	assert_good(causeway_fsetxattr(f, "user.two", "2", 1, 0));
	n = causeway_listxattr(c, NULL, "f", list, sizeof(list), 0);
	assert_int_equal(n, listxattr("f", NULL, 0));
	assert_true(has(list, n, "user.one") && has(list, n, "user.two"));
	assert_int_equal(causeway_flistxattr(f, NULL, 0), n);
	assert_int_equal(causeway_flistxattr(f, list, (size_t)n - 1), -ERANGE);
	assert_int_equal(causeway_flistxattr(f, list, (size_t)n), n);
	assert_int_equal(causeway_fgetxattr(f, "user.two", list, 1), 1);
	assert_good(causeway_fremovexattr(f, "user.two"));
	n = causeway_flistxattr(f, list, sizeof(list));
	assert_true(n > 0 && has(list, n, "user.one") && !has(list, n, "user.two"));
	assert_good(causeway_fremovexattr(f, "user.one"));
	assert_int_equal(causeway_flistxattr(f, list, sizeof(list)), listxattr("f", NULL, 0));
	causeway_close(f);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		WORLD_CASE(test_values),
		WORLD_CASE(test_bounds),
		WORLD_CASE(test_lists),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}
