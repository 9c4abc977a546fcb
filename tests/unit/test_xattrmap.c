// SPDX-License-Identifier: BSD-2-Clause
/* --xattrmap: which names become which, and what is wrong with a map. */
#include "unit.h"

#include <string.h>

#include "fs/passthrough/xattrmap.h"

#define EVERYTHING ":map::user.v.:"
#define TRUSTED    ":map:trusted.:user.v.:"
#define TRUSTED_LONG                                                                               \
	" /prefix/all/trusted./user.v./\n\t/bad/server//trusted./\n/bad/client/user.v.//\n"       \
	"/ok/all/// "
#define MIXED                                                                                      \
	"|unsupported|client|a||\n|unsupported|server||h|:ok:client:b:::ok:server::c:"            \
	";bad;all;;;"
#define SPLIT ":prefix:client::x.::ok:server::x.:.bad.server...:ok:all:::"

static const struct {
	const char *map, *guest;
	int result;
	const char *host;
} clients[] = {
	{EVERYTHING, "user.a", 0, "user.v.user.a"},
	{EVERYTHING, "user.v.a", 0, "user.v.user.v.a"},
	{TRUSTED, "trusted.a", 0, "user.v.trusted.a"},
	{TRUSTED, "user.a", 0, "user.a"},
	{TRUSTED, "user.v.trusted.a", -EPERM, NULL},
	{TRUSTED_LONG, "trusted.a", 0, "user.v.trusted.a"},
	{TRUSTED_LONG, "user.v.x", -EPERM, NULL},
	{TRUSTED_LONG, "security.a", 0, "security.a"},
	{MIXED, "abc", -EOPNOTSUPP, NULL},
	{MIXED, "bcd", 0, "bcd"},
	{MIXED, "c", -EPERM, NULL},
	{SPLIT, "y", 0, "x.y"},
	{":ok:all:::", "", 0, ""},
};

static const struct {
	const char *map, *host, *guest;
} servers[] = {
	{EVERYTHING, "user.v.user.a", "user.a"},
	{EVERYTHING, "user.a", NULL},
	{EVERYTHING, "user.v.", NULL},
	{TRUSTED, "user.v.trusted.a", "trusted.a"},
	{TRUSTED, "trusted.a", NULL},
	{TRUSTED, "user.a", "user.a"},
	{TRUSTED_LONG, "user.v.trusted.a", "trusted.a"},
	{TRUSTED_LONG, "trusted.a", NULL},
	{TRUSTED_LONG, "security.a", "security.a"},
	{MIXED, "host", NULL},
	{MIXED, "cde", "cde"},
	{MIXED, "b", NULL},
	{SPLIT, "x.y", "x.y"},
	{SPLIT, "y", NULL},
};

static const struct {
	const char *map, *says[2];
} wrong[] = {
	{"", {"rule 1", "is missing"}},
	{"  \n", {"rule 1", "is missing"}},
	{":", {"rule 1", "type"}},
	{":ok", {"rule 1", "type"}},
	{"ok:all:::", {"rule 1", "type"}},
	{":ok:all", {"rule 1", "1 fields"}},
	{":ok:all:", {"rule 1", "2 fields"}},
	{":ok:all::", {"rule 1", "3 fields"}},
	{":ok/all/key/prepend/", {"rule 1", "type"}},
	{":fine:all:::", {"rule 1", "'fine'"}},
	{":OK:all:::", {"rule 1", "'OK'"}},
	{":ok:both:::", {"rule 1", "'both'"}},
	{":ok::::", {"rule 1", "''"}},
	{":ok:all:::x", {"rule 2", "type"}},
	{":ok:all::: :bad:any:::", {"rule 2", "'any'"}},
	{":ok:client:::", {"rule 2", "host"}},
	{":ok:server:::", {"rule 2", "guest"}},
	{":ok:all:key::", {"rule 2", "guest"}},
	{":ok:all::key:", {"rule 2", "host"}},
	{":ok:all:a:b::bad:client:::", {"rule 3", "host"}},
	{":map:", {"rule 1", "'map'"}},
	{":map:key:", {"rule 1", "'map'"}},
	{":map:key:prefix", {"rule 1", "'map'"}},
	{":map:key::", {"rule 1", "empty"}},
	{":map:::", {"rule 1", "empty"}},
	{":map::a::ok:all:::", {"rule 2", "last"}},
	{":ok:client:a:::map::b::map::c:", {"rule 3", "last"}},
};

static char error[200];

static struct xattrmap *parse(const char *text)
{
	struct xattrmap *map = NULL;

	if (xattrmap_parse(text, &map, error, sizeof(error)) < 0)
		fail_msg("%s: %s", text, error);
	return map;
}

static void test_names(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		struct xattrmap *map = parse(clients[i].map);
		struct xattrmap_name host;

		assert_int_equal(xattrmap_client(map, clients[i].guest, &host), clients[i].result);
		if (clients[i].host)
			assert_string_equal(host.s, clients[i].host);
		xattrmap_free(map);
	}
	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		struct xattrmap *map = parse(servers[i].map);
		const char *guest = xattrmap_server(map, servers[i].host);

		if (servers[i].guest)
			assert_string_equal(guest, servers[i].guest);
		else
			assert_null(guest);
		xattrmap_free(map);
	}
}

static void test_long_names(void **state)
{
	struct xattrmap *map = parse(EVERYTHING);
	struct xattrmap_name host;
	char name[XATTR_NAME_MAX + 1];

	memset(name, 'x', sizeof(name));
	name[XATTR_NAME_MAX - strlen("user.v.")] = '\0';
	assert_int_equal(xattrmap_client(map, name, &host), 0);
	assert_int_equal(strlen(host.s), XATTR_NAME_MAX);
	memset(name, 'x', sizeof(name));
	name[XATTR_NAME_MAX - strlen("user.v.") + 1] = '\0';
	assert_int_equal(xattrmap_client(map, name, &host), -ERANGE);
	xattrmap_free(map);
}

static void test_errors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct xattrmap *map = NULL;

		error[0] = '\0';
		assert_int_equal(xattrmap_parse(wrong[i].map, &map, error, sizeof(error)), -1);
		assert_null(map);
		for (int j = 0; j < 2; j++) {
			if (!strstr(error, wrong[i].says[j]))
				fail_msg("'%s': '%s' does not name %s", wrong[i].map, error,
					wrong[i].says[j]);
		}
		assert_ptr_equal(strstr(error, "--xattrmap: "), error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
