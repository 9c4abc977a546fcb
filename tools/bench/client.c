// SPDX-License-Identifier: BSD-2-Clause
//
// libcauseway as the client of a server, for what is measured through it.

#include "bench.h"
#include "causeway.h"

#include <errno.h>
#include <string.h>

// The socket is the library's once it is to connect.
static int connect_with(struct causeway *c, int sock, const struct client_option *options, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int ret = causeway_set(c, options[i].name, options[i].value);

		if (ret) {
			close_fd(&sock);
			return ret;
		}
	}
	return causeway_connect_fd(c, sock);
}

int client_connect(struct target *t, int sock, const struct client_option *options, size_t n,
	char *error, size_t size)
{
	int ret;

	t->client = causeway_new();
	if (!t->client) {
		close_fd(&sock);
		snprintf(error, size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	ret = connect_with(t->client, sock, options, n);
	if (ret)
		snprintf(error, size, "%s", causeway_error(t->client));
	return ret;
}

void client_disconnect(struct target *t)
{
	causeway_free(t->client);
	t->client = NULL;
}

void client_note_lost(struct target *t, int error)
{
	if (error == -ENOTCONN)
		t->lost = "it ended the connection";
	else if (error == -ETIMEDOUT)
		t->lost = "it does not answer";
}
