// SPDX-License-Identifier: BSD-2-Clause
/*
 * causeway_set(): options as words, so that programs can pass on what their users say.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/client.h"

#define MIB (1ull << 20)

struct option {
	const char *name;
	size_t at; /* of the value in struct client_options */
	uint64_t min, max;
	bool power_of_two;
};

#define NUMBER(name, member, ...) {name, offsetof(struct client_options, member), __VA_ARGS__}
static const struct option numbers[] = {
	NUMBER("queues", queues, 1, VHOST_FRONTEND_QUEUES_MAX - 1, false),
	NUMBER("queue-size", queue_size, 4, 32768, true),
	NUMBER("memory", memory, MIB, 1ull << 40, false),
	NUMBER("regions", regions, 1, VU_MEM_TABLE_MAX, false),
	NUMBER("spin-us", spin_us, 0, TRANSPORT_SPIN_EVER, false),
	NUMBER("timeout-ms", timeout_ms, 1, INT_MAX, false),
	NUMBER("minor", minor, CLIENT_MINOR_OLDEST, FUSE_MINOR_NEWEST, false),
	NUMBER("init", init, 0, 1, false),
	NUMBER("uid", uid, 0, UINT32_MAX - 1, false),
	NUMBER("gid", gid, 0, UINT32_MAX - 1, false),
	NUMBER("event-idx", event_idx, 0, 1, false),
	NUMBER("indirect", indirect, 0, 1, false),
	NUMBER("cache-memory", cache_memory, 4 * PAGE_BYTES, 1ull << 40, false),
	NUMBER("cache-entries", cache_entries, 1, 1u << 24, false),
	NUMBER("writeback", writeback, 0, 1, false),
	NUMBER("record-data", record_data, 0, 1, false),
};

void client_options_init(struct client_options *o)
{
	*o = (struct client_options){
		.queues = 1,
		.queue_size = 128,
		.memory = 64 * MIB,
		.regions = 1,
		.timeout_ms = 10000,
		.minor = FUSE_MINOR_NEWEST,
		.init = 1,
		.uid = geteuid(),
		.gid = getegid(),
		.event_idx = 1,
		.indirect = 1,
		.cache = cache_mode_find("auto"),
		.cache_memory = 32 * MIB,
		.cache_entries = 16384,
	};
}

void client_options_free(struct client_options *o)
{
	free(o->daemon);
	free(o->record);
	free(o->version_table);
	for (size_t i = 0; i < o->ndaemon_options; i++)
		free(o->daemon_options[i]);
	free(o->daemon_options);
}

static int set_number(struct causeway *c, const struct option *option, const char *value)
{
	uint64_t *at = (uint64_t *)((char *)&c->options + option->at);
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end != '\0' || errno != 0)
		return client_fail(c, -EINVAL, "%s=%s: that is no number", option->name, value);
	if (n < option->min || n > option->max)
		return client_fail(c, -ERANGE, "%s=%s: it must be from %llu to %llu", option->name,
			value, (unsigned long long)option->min, (unsigned long long)option->max);
	if (option->power_of_two && (n & (n - 1)) != 0)
		return client_fail(c, -EINVAL, "%s=%s: it must be a power of two", option->name,
			value);
	*at = n;
	return 0;
}

static int set_string(struct causeway *c, char **string, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return client_fail(c, -ENOMEM, "no memory for an option");
	free(*string);
	*string = copy;
	return 0;
}

static int set_cache(struct causeway *c, const char *value)
{
	const struct cache_mode *mode = cache_mode_find(value);

	if (!mode)
		return client_fail(c, -EINVAL, "cache=%s: it must be none, auto, always or "
					       "shared", value);
	c->options.cache = mode;
	return 0;
}

static int set_dax(struct causeway *c, const char *value)
{
	static const char *const modes[] = {
		[DAX_NEVER] = "never", [DAX_AUTO] = "auto", [DAX_ALWAYS] = "always"};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i], value) == 0) {
			c->options.dax = (enum dax_mode)i;
			return 0;
		}
	}
	return client_fail(c, -EINVAL, "dax=%s: it must be never, auto or always", value);
}

static int add_daemon_option(struct causeway *c, const char *value)
{
	struct client_options *o = &c->options;
	char **list = realloc(o->daemon_options, (o->ndaemon_options + 2) * sizeof(*list));
	char *copy = strdup(value);

	if (list)
		o->daemon_options = list;
	if (!list || !copy) {
		free(copy);
		return client_fail(c, -ENOMEM, "no memory for an option of the daemon");
	}
	list[o->ndaemon_options++] = copy;
	list[o->ndaemon_options] = NULL;
	return 0;
}

EXPORT int causeway_set(struct causeway *c, const char *option, const char *value)
{
	if (c->connected)
		return client_fail(c, -EISCONN, "%s: it can only be set before connecting", option);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(numbers[i].name, option) == 0)
			return set_number(c, &numbers[i], value);
	}
	if (strcmp(option, "daemon-option") == 0)
		return add_daemon_option(c, value);
	if (strcmp(option, "daemon") == 0)
		return set_string(c, &c->options.daemon, value);
	if (strcmp(option, "cache") == 0)
		return set_cache(c, value);
	if (strcmp(option, "dax") == 0)
		return set_dax(c, value);
	if (strcmp(option, "version-table") == 0)
		return set_string(c, &c->options.version_table, value);
	if (strcmp(option, "record") == 0)
		return set_string(c, &c->options.record, value);
	return client_fail(c, -ENOENT, "there is no option '%s'", option);
}
