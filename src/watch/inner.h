// SPDX-License-Identifier: BSD-2-Clause
/*
 * The watcher's process from inside. It has one thread, and waits in one place (process.c).
 */
#ifndef WATCH_INNER_H
#define WATCH_INNER_H

#include <poll.h>
#include <stdbool.h>
#include <sys/vfs.h>

#include "coherence/table.h"
#include "watch/message.h"
#include "watch/recent.h"

/* Watchers that share a table; each has a byte of FILE.key locked, from this one on. */
#define MEMBERS      256
#define MEMBER_AT(i) (64 + (i))

#define SEEK_MS     50
#define CALL_MS     5000
#define NAP_MS      1

struct file_handle;

/* Who tells of file systems: the first is our own server, the others are watchers that follow. */
struct peer {
	int sock;   /* -1: nobody */
	int pidfd;  /* of the server */
	pid_t pid;  /* its number, as events have it; 0: not known */
	bool known; /* what comes from the number is its own */
	int member; /* -1: has not told all yet */
};

/* A way to find an inode's number in its file handle. */
struct place_form {
	uint32_t magic; /* of statfs(2) */
	int type;       /* of the handle */
	unsigned int bytes, low_at, high_at; /* high_at 0: there are 32 bits only */
};

/* A file system that a server shows. */
struct place {
	struct place *next;
	const struct peer *peer;
	uint64_t id;
	int fd;
	fsid_t fsid;
	dev_t dev;
	const struct place_form *form; /* or NULL: files are opened by their handles */
	bool repeats; /* another one before it is of the same file system */
};

enum role {
	ROLE_IDLE, /* the server has not come */
	ROLE_SEEKING,
	ROLE_FOLLOWING,
	ROLE_LEADING,
};

struct watcher {
	struct vtable *t;
	bool in_memory; /* the table: there are no others */
	enum role role;
	bool beating; /* all that is shown anywhere is watched */
	int group, mounts, listener, leader;
	int locks; /* FILE.key */
	char *socket_name;
	bool same_mounts; /* the leader that we follow sees the mounts that our server sees */
	int member;
	struct peer peers[MEMBERS];
	struct place *places;
	struct recent *recent;
	int recent_fd;
	/* Since `round_ms` so many events were read; what happened before `caught_up_ms` was passed
	 * on. */
	uint64_t round_ms, caught_up_ms;
	unsigned int round_events, queue_size;
	bool crowded; /* the last look at the queue found something */
	uint64_t beat_ms, look_ms;
};

/* process.c */

/* Becomes the watcher. sock leads to the server. */
_Noreturn void watcher_run(int sock, struct vtable *t, const char *path,
	void (*seal)(void *opaque), void *opaque);

/* Which namespace of mounts this process is in. */
uint64_t process_mounts(void);

/* Leads or follows, if that can be within a while: the one who led may just have died. */
void process_settle(struct watcher *w);

/* place.c */

/* Notes a file system, and marks it if we lead; else sees whether that can be done. Takes fd. */
int place_add(struct watcher *w, const struct peer *peer, uint64_t id, int fd);
void place_drop(struct watcher *w, const struct peer *peer, uint64_t id);
void place_drop_all(struct watcher *w, const struct peer *peer);
int place_mark_all(struct watcher *w);

/* What a handle of a file system stands for. -ESTALE: it is gone. */
struct found {
	dev_t dev;
	ino_t ino;
};
int place_find(const struct place *p, struct file_handle *handle, struct found *out);

/* event.c */

/* Opens the queue. */
int event_open(struct watcher *w);

/* Adds or removes the mark of the file system that a descriptor is on. */
int event_mark(const struct watcher *w, int fd, bool add);

/* Reads what is in the queue and passes it on, so many buffers full of it at most; notes whether
 * there was something. */
#define EVENT_ROUNDS 16
void event_read(struct watcher *w, unsigned int rounds);

/* Passes on what an event says. */
struct fanotify_event_metadata;
void event_tell(struct watcher *w, const struct fanotify_event_metadata *m, const char *event);

/* The name that an event is of, or what was renamed had; 0: there is none. */
uint64_t event_old_name(const struct fanotify_event_metadata *m, const char *event);

/* echo.c */

/* A name, by the handle of its directory: two may have the same number. */
uint64_t echo_hash(const struct file_handle *dir, const char *name);

/* Such a name has been passed on. */
void echo_note(const struct file_handle *dir, const char *name);

/* Keeps what a server has renamed until it is known whether it is to be passed on. */
void echo_hold(struct watcher *w, const struct fanotify_event_metadata *m, const char *event);

/* What of that is, now that there is nothing in the queue from before it was read, is passed on;
 * all of it where that is not sure. */
void echo_settle(struct watcher *w, bool sure);

/* lead.c */

/* Takes a number among the watchers of the table. */
int lead_take_member(struct watcher *w);

/* Begins to lead, if nobody else does. */
bool lead_try(struct watcher *w);
void lead_accept(struct watcher *w);

/* Beats, when it is time and nothing older waits. */
void lead_go_on(struct watcher *w, uint64_t now);

/* Nobody watches any more. */
void lead_end(struct watcher *w);

/* peer.c */
void peer_drop(struct watcher *w, struct peer *peer);
int peer_join(struct watcher *w, struct peer *peer, int pidfd);

/* Answers what a peer says. */
void peer_hear(struct watcher *w, struct peer *peer);

/* Forgets the numbers of servers that have ended: what comes from them after this is another's. */
void peer_bury(struct watcher *w);

/* Nothing is in the queue from before now. */
void peer_settle(struct watcher *w);
bool peer_has_pid(const struct watcher *w, pid_t pid);

/* follow.c */

/* Begins to follow the leader, if there is one. */
bool follow_try(struct watcher *w);
void follow_hear(struct watcher *w);

/* Has the leader mark a file system. Where it has ended meanwhile, its follower will. */
int follow_add(struct watcher *w, const struct place *p);
void follow_drop(struct watcher *w, uint64_t id);

/* The leader's socket: connected to, or made. */
int follow_socket(const struct watcher *w, bool make);

/* Whether a peer is our own user, or root. */
bool follow_trusts(int sock);

#endif
