// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Mount options (mount.causeway(8)): one table, and what each sets. What is shown in /proc/mounts
 * mounts the same again.
 */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/math64.h>
#include <linux/seq_file.h>

#include "options.h"

enum {
	OPT_SOURCE,
	OPT_CACHE,
	OPT_WRITEBACK,
	OPT_NO_WRITEBACK,
	OPT_DAX,
	OPT_DAX_ALWAYS,
	OPT_ATTR_TIMEOUT,
	OPT_ENTRY_TIMEOUT,
	OPT_NEGATIVE_TIMEOUT,
	OPT_SERVER_TIMEOUT,
	OPT_MAX_READ,
};

static const struct constant_table caches[] = {
	{ "none", CW_CACHE_NONE },
	{ "never", CW_CACHE_NONE },
	{ "auto", CW_CACHE_AUTO },
	{ "always", CW_CACHE_ALWAYS },
	{ "shared", CW_CACHE_SHARED },
	{}
};

static const struct constant_table dax_modes[] = {
	{ "never", CW_DAX_NEVER },
	{ "inode", CW_DAX_INODE },
	{ "always", CW_DAX_ALWAYS },
	{}
};

const struct fs_parameter_spec cw_parameters[] = {
	fsparam_string("source", OPT_SOURCE),
	fsparam_enum("cache", OPT_CACHE, caches),
	fsparam_flag("writeback", OPT_WRITEBACK),
	fsparam_flag("no_writeback", OPT_NO_WRITEBACK),
	fsparam_flag("dax", OPT_DAX_ALWAYS),
	fsparam_enum("dax", OPT_DAX, dax_modes),
	fsparam_string("attr_timeout", OPT_ATTR_TIMEOUT),
	fsparam_string("entry_timeout", OPT_ENTRY_TIMEOUT),
	fsparam_string("negative_timeout", OPT_NEGATIVE_TIMEOUT),
	fsparam_string("server_timeout", OPT_SERVER_TIMEOUT),
	fsparam_u32("max_read", OPT_MAX_READ),
	{}
};

void cw_options_init(struct cw_options *o)
{
	*o = (struct cw_options){
		.attr_ms = CW_UNSET,
		.entry_ms = CW_UNSET,
		.negative_ms = CW_UNSET,
		.server_ms = CW_SERVER_MS,
	};
}

/* Seconds with up to three places, to milliseconds. */
static int parse_seconds(struct fs_context *fc, struct fs_parameter *param, unsigned int *ms)
{
	char *text = param->string, *dot = strchr(text, '.');
	unsigned int whole, part = 0, scale = 100, i;

	if (dot)
		*dot++ = 0;
	if (kstrtouint(text, 10, &whole) || whole > CW_SECONDS_MAX)
		goto bad;
	for (i = 0; dot && dot[i]; i++, scale /= 10) {
		if (dot[i] < '0' || dot[i] > '9')
			goto bad;
		part += (dot[i] - '0') * scale;
	}
	*ms = whole * 1000 + part;
	return 0;
bad:
	return invalf(fc, "causeway: %s: not a number of seconds from 0 to %u", param->key,
		      CW_SECONDS_MAX);
}

int cw_parse_option(struct fs_context *fc, struct fs_parameter *param)
{
	struct cw_options *o = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, cw_parameters, param, &result);

	if (opt < 0)
		return opt;
	switch (opt) {
	case OPT_SOURCE:
		if (fc->source)
			return invalf(fc, "causeway: there is one tag to a mount");
		fc->source = param->string;
		param->string = NULL;
		return 0;
	case OPT_CACHE:
		o->cache = result.uint_32;
		return 0;
	case OPT_WRITEBACK:
	case OPT_NO_WRITEBACK:
		o->writeback = opt == OPT_WRITEBACK;
		o->no_writeback = !o->writeback;
		return 0;
	case OPT_DAX:
		o->dax = result.uint_32;
		return 0;
	case OPT_DAX_ALWAYS:
		o->dax = CW_DAX_ALWAYS;
		return 0;
	case OPT_ATTR_TIMEOUT:
		return parse_seconds(fc, param, &o->attr_ms);
	case OPT_ENTRY_TIMEOUT:
		return parse_seconds(fc, param, &o->entry_ms);
	case OPT_NEGATIVE_TIMEOUT:
		return parse_seconds(fc, param, &o->negative_ms);
	case OPT_SERVER_TIMEOUT:
		return parse_seconds(fc, param, &o->server_ms);
	case OPT_MAX_READ:
		if (result.uint_32 < PAGE_SIZE)
			return invalf(fc, "causeway: max_read: less than a page (%lu)", PAGE_SIZE);
		o->max_read = result.uint_32 & PAGE_MASK;
		return 0;
	}
	return -EINVAL;
}

int cw_check_options(struct fs_context *fc, const struct cw_options *o)
{
	if (o->writeback && o->cache == CW_CACHE_SHARED)
		return invalf(fc, "causeway: writeback and cache=shared exclude each other: what "
				  "is held back is not what others are told");
	if (o->writeback && o->cache == CW_CACHE_NONE)
		return invalf(fc, "causeway: writeback and cache=none exclude each other: there is "
				  "no cache to write back");
	return 0;
}

bool cw_options_are_same(const struct cw_options *a, const struct cw_options *b)
{
	return a->cache == b->cache && a->dax == b->dax && a->writeback == b->writeback &&
		a->attr_ms == b->attr_ms && a->entry_ms == b->entry_ms &&
		a->negative_ms == b->negative_ms && a->server_ms == b->server_ms &&
		a->max_read == b->max_read;
}

/* What remount may change; anything else is refused by its name. */
int cw_change_options(struct fs_context *fc, struct cw_options *o, const struct cw_options *to)
{
	const char *fixed = o->cache != to->cache ? "cache" :
			    o->writeback != to->writeback ? "writeback" :
			    o->dax != to->dax ? "dax" :
			    o->max_read != to->max_read ? "max_read" : NULL;

	if (fixed)
		return invalf(fc, "causeway: %s cannot be changed by a remount", fixed);
	WRITE_ONCE(o->attr_ms, to->attr_ms);
	WRITE_ONCE(o->entry_ms, to->entry_ms);
	WRITE_ONCE(o->negative_ms, to->negative_ms);
	WRITE_ONCE(o->server_ms, to->server_ms);
	return 0;
}

static void show_seconds(struct seq_file *m, const char *name, unsigned int ms, unsigned int unless)
{
	if (ms == unless)
		return;
	seq_printf(m, ",%s=%u", name, ms / 1000);
	if (ms % 1000)
		seq_printf(m, ".%03u", ms % 1000);
}

static const char *name_of(const struct constant_table *table, int value)
{
	while (table->name && table->value != value)
		table++;
	return table->name;
}

void cw_options_show(struct seq_file *m, const struct cw_options *o)
{
	seq_printf(m, ",cache=%s", name_of(caches, o->cache));
	if (o->writeback)
		seq_puts(m, ",writeback");
	if (o->no_writeback)
		seq_puts(m, ",no_writeback");
	if (o->dax != CW_DAX_INODE_DEFAULT)
		seq_printf(m, ",dax=%s", name_of(dax_modes, o->dax));
	show_seconds(m, "attr_timeout", o->attr_ms, CW_UNSET);
	show_seconds(m, "entry_timeout", o->entry_ms, CW_UNSET);
	show_seconds(m, "negative_timeout", o->negative_ms, CW_UNSET);
	show_seconds(m, "server_timeout", o->server_ms, CW_SERVER_MS);
	if (o->max_read)
		seq_printf(m, ",max_read=%u", o->max_read);
}
