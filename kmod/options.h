/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What options.c has for super.c. */
#ifndef KMOD_OPTIONS_H
#define KMOD_OPTIONS_H

#include <linux/fs_parser.h>

#include "conn.h"

struct fs_context;
struct fs_parameter;
struct seq_file;

#define CW_SERVER_MS 60000 /* server_timeout, where it is not said */
#define CW_SECONDS_MAX 4000000

extern const struct fs_parameter_spec cw_parameters[];

void cw_options_init(struct cw_options *o);

/* fc->fs_private is a struct cw_options. */
int cw_parse_option(struct fs_context *fc, struct fs_parameter *param);

/* What no option alone can tell. */
int cw_check_options(struct fs_context *fc, const struct cw_options *o);

bool cw_options_are_same(const struct cw_options *a, const struct cw_options *b);

/* For a remount. */
int cw_change_options(struct fs_context *fc, struct cw_options *o, const struct cw_options *to);

void cw_options_show(struct seq_file *m, const struct cw_options *o);

#endif
