// SPDX-License-Identifier: BSD-2-Clause
/*
 * The text of the last error of each thread. One for all connections, with whose it is: a thread
 * looks at the text of the call that has just failed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"

static _Thread_local struct {
	const struct causeway *of;
	char text[320];
} last;

int client_fail(struct causeway *c, int r, const char *fmt, ...)
{
	va_list ap;

	last.of = c;
	va_start(ap, fmt);
	vsnprintf(last.text, sizeof(last.text), fmt, ap);
	va_end(ap);
	return r;
}

int client_lost(struct causeway *c)
{
	char why[sizeof(c->t.why)];

	transport_why(&c->t, why, sizeof(why));
	return client_fail(c, -ENOTCONN, "%s", why);
}

EXPORT const char *causeway_error(struct causeway *c)
{
	return last.of == c ? last.text : "";
}
