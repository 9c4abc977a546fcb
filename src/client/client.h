// SPDX-License-Identifier: BSD-2-Clause
/*
 * libcauseway inside: the connection, and how an operation becomes a FUSE request.
 *
 * An operation fills a struct call: what is sent behind the header, and where the reply goes. It
 * is copied to guest memory, and the reply from there, once and before anything of it is looked
 * at: the back-end can write to guest memory at any time, and is not trusted. A reply whose header
 * is wrong, which is shorter than its operation needs, or longer than there is room for, is -EPROTO
 * for that operation; whether its content makes sense is for the operation to check.
 *
 * Errors. What a function of the API returns as -errno has a text, kept for each thread:
 * client_fail() makes it, or the text follows from the operation and the errno.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "causeway.h"
#include "client/cache.h"
#include "client/entry.h"
#include "client/node.h"
#include "client/pages.h"
#include "client/table.h"
#include "client/transport.h"
#include "client/window.h"
#include "client/words.h"
#include "proto/fuse_ops.h"
#include "trace/ops.h"
#include "vhost/spawn.h"

#define CLIENT_MINOR_OLDEST 31

/* What causeway_set() sets. */
struct client_options {
	uint64_t queues, queue_size, memory, regions, spin_us, timeout_ms;
	uint64_t minor;    /* FUSE 7.minor is asked for */
	uint64_t init;     /* 0: send no INIT, the program does */
	uint64_t uid, gid; /* of requests */
	uint64_t event_idx, indirect;
	const struct cache_mode *cache;
	uint64_t cache_memory;  /* bytes of file contents, listings and what waits to be written */
	uint64_t cache_entries; /* names */
	uint64_t writeback;
	enum dax_mode dax;
	uint64_t record_data;
	char *daemon, *record;
	char *version_table; /* its path, or NULL: the back-end shares it */
	char **daemon_options; /* NULL-terminated */
	size_t ndaemon_options;
};

/* What INIT agreed on. */
struct client_session {
	uint32_t minor;
	uint64_t flags;
	size_t max_data; /* bytes of payload in one request */
	uint32_t time_gran;
};

/* What is written behind (behind.h), of all nodes. */
struct behinds {
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t unused;
	struct behind *first;
	size_t bytes;
};

struct operation;

/* What was submitted and is over, in its order. (async.c) */
struct completed {
	pthread_mutex_t lock;
	struct operation *first, **end;
	int wake_fd;  /* eventfd, written when the first comes; or -1 */
	int event_fd; /* epoll: the queues' and that one; or -1 */
};

void completed_init(struct completed *done);
void completed_destroy(struct completed *done);

struct causeway {
	struct client_options options;
	struct transport t;
	struct vhost_captive captive;
	bool connected;
	struct client_session session;
	struct nodes nodes;
	struct entries entries;
	struct pages pages;
	struct window window;
	struct table table;
	struct behinds behinds;
	_Atomic size_t listing_bytes; /* of xattrs too */
	struct notification *notifications; /* notify.h; or NULL */
	struct completed completed;
	_Atomic uint64_t unique;
	_Atomic uint64_t requests;
	_Atomic bool no_copy_64, no_statx, no_access; /* these requests are not known there */
};

#define CALL_ARGS 4

struct call {
	uint32_t opcode;
	uint64_t nodeid;
	struct iovec args[CALL_ARGS]; /* structures and names */
	unsigned int nargs;
	const struct iovec *send; /* payload behind them */
	unsigned int nsend;
	void *out; /* the reply's structure: at least out_least bytes of it come */
	uint32_t out_size, out_least;
	const struct iovec *take; /* where the reply's payload goes, behind the structure */
	unsigned int ntake;
	bool in_place;   /* payload that is one buffer of guest memory stays there */
	uint64_t unique; /* 0: one that nobody has had */
	struct causeway_token *token; /* what may interrupt it, or NULL */
	void (*done)(struct call *call, int r); /* told when what client_start() sent is over */

	uint64_t asof;    /* the count of changes when the call began; see node.h */
	uint32_t out_len; /* of out that came */
	size_t taken;     /* bytes of payload that came */
	struct words words;
};

/* Performs a call: 0, or what the back-end answered, or -ENOTCONN, -EPROTO, -ENOBUFS. */
int client_call(struct causeway *c, struct call *call);

/* Sends a call and does not wait. Until done() is called, by some thread that waits or reaps, the
 * call, its out and its take stay where they are. On an error nothing was sent. */
int client_start(struct causeway *c, struct call *call);

/* Sends one of those that are never answered, and does not wait. */
int client_send(struct causeway *c, struct call *call);

#define CALL_STRUCT(s) ((struct iovec){&(s), sizeof(s)})
#define CALL_NAME(s)   ((struct iovec){(void *)(s), strlen(s) + 1})

size_t client_iov_len(const struct iovec *iov, unsigned int n);

/* A number for a request. Odd ones are INTERRUPTs, as Linux has it. */
static inline uint64_t client_unique(struct causeway *c)
{
	return atomic_fetch_add_explicit(&c->unique, 2, memory_order_relaxed) + 2;
}

/* A call that a token may end while it waits. (interrupt.c) */
struct interruptible {
	uint64_t unique;
	struct interruptible *next;
};

/* Whether a call may begin with this token: 0, -EINTR, or -EINVAL where it is not c's. */
int token_check(struct causeway_token *t, struct causeway *c);
void token_enter(struct causeway_token *t, struct interruptible *i);
void token_leave(struct causeway_token *t, struct interruptible *i);

/* INIT and DESTROY. (session.c) */
int client_init(struct causeway *c);
void client_destroy(struct causeway *c);

/* Remembers the text for what is returned: r. */
int client_fail(struct causeway *c, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The text when the connection is lost: -ENOTCONN. */
int client_lost(struct causeway *c);

/* Frees what causeway_set() keeps. (options.c) */
void client_options_init(struct client_options *o);
void client_options_free(struct client_options *o);

#define EXPORT __attribute__((visibility("default")))

/*
 * Where a path led may be gone when it is used, its file having been replaced meanwhile: ESTALE.
 * Then what is known of names is forgotten, and all of it is done once more, as Linux does: what a
 * name led to just now the back-end holds.
 */
static inline bool client_is_stale(struct causeway *c, ssize_t r)
{
	if (r == -ESTALE)
		entries_clear(c);
	return r == -ESTALE;
}

#define CLIENT_AGAIN(c, once)                                                                      \
	({                                                                                         \
		typeof(once) result_ = (once);                                                     \
		client_is_stale(c, result_) ? (once) : result_;                                    \
	})

#endif
