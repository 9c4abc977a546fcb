// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fuzzes a FUSE session: an input is a configuration and a row of requests, served over the null
 * file system or over a small private directory. Node and handle numbers in requests are those of
 * earlier replies where the input says so; replies are held against the protocol.
 *
 * Requests that wait, for a lock or in the pool, are answered by other threads; when the input
 * ends, each must have been, once.
 *
 * With a version table, replies are held against what they must have of words, and in the end
 * nothing may be marked in it.
 *
 * Input: two u8 of configuration, then requests: u8 opcode, u8 flags (below), u8 node, u8 handle,
 * u16 bytes of arguments, u16 room for the reply, the arguments. Requests are numbered 2, 4, ...
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "coherence/words.h"
#include "dax/dax.h"
#include "dax/lease.h"
#include "fs/null.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/passthrough.h"
#include "fuse/pool.h"
#include "fuse/session.h"
#include "fuse/version.h"
#include "fuzz.h"
#include "proto/causeway_wire.h"
#include "proto/fuse_ops.h"
#include "tree.h"

#define REQUESTS  48
#define KNOWN     16          /* nodes and handles that are remembered */
#define WINDOW    (8u << 20)  /* bytes */
#define SIZE_MAX_ (1u << 20)  /* of a file */
#define SLOTS     64          /* of the version table */
#define WAITING   320         /* requests that are answered later, as vhost/deferred.h has it */

/* Of the first byte of configuration; the others have no names. */
#define TABLE 0x80 /* there is a version table */

/* Flags of the second byte of configuration. */
#define POSIX_LOCK 0x01
#define FLOCK      0x02
#define POOL       0x04 /* with LATER */
#define LATER      0x08 /* requests may be answered later */
#define STOPPED    0x10 /* ... but nobody hears of it */
#define DAX        0x20 /* with POOL, of the directory: a window, whose front-end... */
#define DAX_FAILS  0x40 /* ... refuses every third map */
#define DAX_ALWAYS 0x80 /* files are mapped without leases */

/* Flags of a request. */
#define RAW_HEADER 0x01 /* the arguments begin with the header */
#define KNOWN_FH   0x02 /* the arguments' first 8 bytes become a known handle */
#define KNOWN_NODE 0x04 /* ... a known node, as LINK and RENAME have; VT_HELLO: the table's id */
#define WRONG_LEN  0x08 /* the header's length is off by one */
#define NO_INIT    0x10 /* (first request only) no INIT comes before */
#define PIECES     0xe0 /* bytes of each piece of the chain; 0 for one piece */

struct guest {
	struct fuse_session *se;
	struct fuse_worker *worker;
	uint64_t nodes[KNOWN], handles[KNOWN];
	unsigned int nnodes, nhandles;
	uint64_t unique;
};

/* A request that is answered later; its number is in the reply that it has until then. */
struct later {
	struct fuse_out_header first;
	bool heard;
	void *room; /* for the whole reply, where data follows */
	size_t room_len;
};

static _Atomic unsigned int waiting;
static struct vtable *table;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_open("fuzz", LOG_OFF);
	tree_open();
	must(vtable_make(&table, SLOTS) == 0);
	leases_block_signals();
	return 0;
}

/* Files of the export stay small, writes and allocations beyond fail with EFBIG; what the fuzzing
 * engine writes has no limit. */
static void limit_files(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	must(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void *defer(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	const uint8_t *how = opaque;
	struct later *l;

	must(chain && len >= sizeof(l->first) && len <= FUSE_DEFERRED_REPLY);
	if (atomic_load(&waiting) == WAITING)
		return NULL;
	l = malloc(sizeof(*l));
	must(l);
	memcpy(&l->first, reply, sizeof(l->first));
	must(l->first.len == len);
	l->heard = !(*how & STOPPED);
	l->room = NULL;
	atomic_fetch_add(&waiting, 1);
	return l;
}

/* The guest's own room is gone when the request that is read has been. */
static void *defer_data(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	struct later *l = defer(opaque, queue, chain, reply, len);

	if (l) {
		l->room_len = chain->out_len;
		l->room = malloc(l->room_len);
		must(l->room);
	}
	return l;
}

static struct iovec *reach(void *deferred, size_t *len)
{
	struct later *l = deferred;
	struct iovec *iov = malloc(sizeof(*iov));

	must(iov);
	*iov = (struct iovec){l->room, l->room_len};
	*len = l->room_len;
	return iov;
}

static void leave(void *opaque)
{
}

static bool finish(void *deferred, const void *reply, uint32_t len)
{
	struct later *l = deferred;
	struct fuse_out_header out;
	bool heard = l->heard;

	must(len >= sizeof(out) && len <= FUSE_DEFERRED_REPLY);
	memcpy(&out, reply, sizeof(out));
	must(out.len == len && out.error <= 0 && out.error > -1000);
	must(out.unique == l->first.unique);
	free(l->room);
	free(l);
	atomic_fetch_sub(&waiting, 1);
	return heard;
}

static bool finish_data(void *deferred, const struct iovec *iov, uint32_t len)
{
	struct fuse_out_header out;

	memcpy(&out, iov->iov_base, sizeof(out));
	must(out.len == len && iov->iov_len <= len);
	out.len = (uint32_t)iov->iov_len;
	return finish(deferred, &out, out.len);
}

static void finish_last(void *deferred, const void *reply, uint32_t len)
{
	finish(deferred, reply, len);
}

static void learn(uint64_t *known, unsigned int *n, uint64_t number)
{
	known[(*n)++ % KNOWN] = number;
}

static uint64_t recall(const uint64_t *known, unsigned int n, uint8_t which)
{
	unsigned int have = n < KNOWN ? n : KNOWN;

	return have ? known[which % have] : 0;
}

static void see_attr(uint64_t ino)
{
	must(!tree_is_secret(ino));
}

/* Takes what a good reply says of nodes and handles; none may lead out of the export. */
static void read_reply(struct guest *g, uint32_t opcode, const char *payload, size_t len)
{
	const struct fuse_entry_out *entry = (const void *)payload;
	const struct fuse_attr_out *attr = (const void *)payload;
	const struct fuse_open_out *open;

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		must(len == sizeof(*entry));
		see_attr(entry->attr.ino);
		learn(g->nodes, &g->nnodes, entry->nodeid);
		break;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		must(len == sizeof(struct fuse_create_out));
		see_attr(entry->attr.ino);
		learn(g->nodes, &g->nnodes, entry->nodeid);
		payload += sizeof(*entry);
		/* fall through */
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		open = (const void *)payload;
		learn(g->handles, &g->nhandles, open->fh);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		must(len == sizeof(*attr));
		see_attr(attr->attr.ino);
		break;
	case FUSE_STATX:
		must(len == sizeof(struct fuse_statx_out));
		see_attr(((const struct fuse_statx_out *)(const void *)payload)->stat.ino);
		break;
	default:
		break;
	}
}

/* A listing must be whole entries; nodes of READDIRPLUS are remembered. */
static void read_listing(struct guest *g, bool plus, const char *payload, size_t len)
{
	size_t at = 0, head = plus ? sizeof(struct fuse_entry_out) : 0;

	while (at < len) {
		const struct fuse_entry_out *entry = (const void *)(payload + at);
		const struct fuse_dirent *d = (const void *)(payload + at + head);

		must(len - at >= head + FUSE_NAME_OFFSET);
		must(d->namelen > 0 && len - at >= head + FUSE_DIRENT_SIZE(d));
		must(!memchr(d->name, '/', d->namelen) && !memchr(d->name, 0, d->namelen));
		if (plus && entry->nodeid) {
			see_attr(entry->attr.ino);
			learn(g->nodes, &g->nnodes, entry->nodeid);
		}
		at += head + FUSE_DIRENT_SIZE(d);
	}
	must(at == len);
}

/* What a good reply has before its payload is of this table. */
static void read_words(const char *words, size_t len)
{
	struct vt_reply head;

	must(len >= sizeof(head));
	memcpy(&head, words, sizeof(head));
	/* The request itself may have moved it. */
	must(atomic_load(words_head(table, epoch)) - head.epoch <= 2 && head.zero == 0);
}

static void read_good(struct guest *g, uint32_t opcode, size_t words, const char *payload,
	size_t len)
{
	must(len >= words);
	if (words > 0)
		read_words(payload, words);
	payload += words;
	len -= words;
	if (opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS)
		read_listing(g, opcode == FUSE_READDIRPLUS, payload, len);
	else
		read_reply(g, opcode, payload, len);
}

/* Serves a chain of exactly these bytes and this room, cut into pieces. */
static void serve(struct guest *g, const char *bytes, size_t len, size_t room, size_t piece)
{
	static struct iovec iov[2][1 << 13];
	char *in = malloc(len + 1), *out = malloc(room + 1);
	const struct fuse_in_header *header = (const void *)in;
	struct fuse_out_header reply;
	unsigned int n[2] = {0, 0};
	size_t words;
	uint32_t written;

	must(in && out);
	memcpy(in, bytes, len);
	for (size_t at = 0; at < len; at += piece)
		iov[0][n[0]++] = (struct iovec){in + at, len - at < piece ? len - at : piece};
	for (size_t at = 0; at < room; at += piece)
		iov[1][n[1]++] = (struct iovec){out + at, room - at < piece ? room - at : piece};
	words = len < sizeof(*header) ? 0 : version_words_size(g->se, header->opcode);
	written = fuse_serve(g->worker,
		&(struct virtq_chain){
			.in = iov[0], .in_len = len, .out = iov[1], .out_len = room});
	if (written == FUSE_DEFERRED)
		written = 0;
	must(written <= room && (written == 0 || written >= sizeof(reply)));
	if (written > 0) {
		memcpy(&reply, out, sizeof(reply));
		must(reply.len == written && reply.error <= 0 && reply.error > -1000);
		must(reply.error == 0 || written == sizeof(reply));
		if (reply.error == 0)
			read_good(g, header->opcode, words, out + sizeof(reply),
				written - sizeof(reply));
	}
	free(in);
	free(out);
}

/* Whatever it leaves of the session; no request is under way. */
static void reset_device(struct guest *g)
{
	fuse_worker_end_waits(g->worker);
	must(atomic_load(&waiting) == 0);
	fuse_session_device_reset(g->se);
}

/* One request of the input. */
static void request(struct guest *g, struct input *in)
{
	static char bytes[sizeof(struct fuse_in_header) + (1 << 12)];
	struct fuse_in_header header = {.opcode = take_u8(in) % FUSE_OPCODE_MAX,
		.unique = g->unique += 2};
	uint8_t flags = take_u8(in), node = take_u8(in), handle = take_u8(in);
	size_t len = take_u16(in) % (1 << 12), room = take_u16(in) % (1 << 13);
	char *args = bytes + sizeof(header);
	uint64_t number = handle == 0x7f ? CW_FH_NODE : recall(g->handles, g->nhandles, handle);

	header.nodeid = node < 200 ? recall(g->nodes, g->nnodes, node) : node == 255 ? 0 : 1;
	if (handle & 0x80)
		header.uid = header.gid = 1000u + handle;
	if (flags & KNOWN_NODE)
		number = recall(g->nodes, g->nnodes, handle);
	take(in, args, len);
	if (header.opcode == FUSE_OPCODE_MAX - 1)
		header.opcode = (handle & 3) == 3 ? CW_SLEEP : handle & 1 ? CW_HELLO : VT_HELLO;
	if (header.opcode == VT_HELLO && flags & KNOWN_NODE && len >= sizeof(struct vt_hello_in))
		memcpy(args + offsetof(struct vt_hello_in, id), table->id, sizeof(table->id));
	else if (flags & (KNOWN_FH | KNOWN_NODE) && header.opcode != CW_SLEEP &&
		len >= sizeof(number))
		memcpy(args, &number, sizeof(number));
	/* Without a limit of its own, with FALLOC_FL_KEEP_SIZE. */
	if (header.opcode == FUSE_FALLOCATE && len >= sizeof(struct fuse_fallocate_in)) {
		struct fuse_fallocate_in f;

		memcpy(&f, args, sizeof(f));
		f.offset %= SIZE_MAX_;
		f.length %= SIZE_MAX_;
		memcpy(args, &f, sizeof(f));
	}
	header.len = (uint32_t)(sizeof(header) + len) + (flags & WRONG_LEN ? 1 : 0);
	memcpy(bytes, &header, sizeof(header));
	if (flags & RAW_HEADER)
		serve(g, args, len, room, 1 << 13);
	else
		serve(g, bytes, sizeof(header) + len, room,
			flags & PIECES ? (flags & PIECES) >> 5 : 1 << 13);
	if (header.opcode == CW_SLEEP && flags & KNOWN_NODE)
		reset_device(g);
}

static void init(struct guest *g)
{
	struct {
		struct fuse_in_header header;
		struct fuse_init_in in;
	} m = {
		.header = {.len = sizeof(m), .opcode = FUSE_INIT},
		.in = {.major = 7, .minor = 45, .flags = UINT32_MAX, .flags2 = UINT32_MAX},
	};

	serve(g, (const char *)&m, sizeof(m), 256, 256);
}

static bool has_window(uint8_t how, uint8_t more)
{
	return !(how & 64) && more & DAX && more & LATER && more & POOL;
}

/* A front-end that keeps the rules of the window: pieces never overlap, and are taken away as they
 * were mapped. */
static struct front_end {
	uint8_t pieces[WINDOW / DAX_PAGE]; /* 1: the first page of a piece, 2: a later one */
	unsigned int asked;
	bool fails;
} front_end;

static int change(struct front_end *fe, const struct dax_change *c)
{
	uint8_t *first = fe->pieces + c->at / DAX_PAGE, *end = fe->pieces + sizeof(fe->pieces);
	size_t n = c->len / DAX_PAGE;
	struct stat st;

	must(c->at % DAX_PAGE == 0 && c->len % DAX_PAGE == 0 && n > 0);
	must(c->at < WINDOW && c->len <= WINDOW - c->at);
	if (c->fd < 0) {
		must(*first == 1 && (first + n == end || first[n] != 2));
		must(!memchr(first + 1, 1, n - 1) && !memchr(first + 1, 0, n - 1));
		memset(first, 0, n);
		return 0;
	}
	must(fstat(c->fd, &st) == 0);
	must(c->offset + c->len <= ((uint64_t)st.st_size + DAX_PAGE - 1) / DAX_PAGE * DAX_PAGE);
	if ((fe->fails && ++fe->asked % 3 == 0) || memchr(first, 1, n) || memchr(first, 2, n))
		return -EIO;
	memset(first, 2, n);
	*first = 1;
	return 0;
}

static void apply(void *opaque, struct dax_change *changes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		changes[i].result = change(opaque, &changes[i]);
}

/* Others may take room, and give it back. */
static unsigned int room(void *opaque)
{
	const struct front_end *fe = opaque;

	return fe->fails ? fe->asked % 5 : WINDOW / DAX_PAGE;
}

static void converse(struct fs *fs, uint8_t how, uint8_t more, struct input *in)
{
	struct fuse_config config = {
		.cache = cache_policy_at(how & 3),
		.writeback = how & 4,
		.readonly = how & 8,
		.readdirplus = how & 16,
		.posix_lock = more & POSIX_LOCK,
		.flock = more & FLOCK,
		.pins = true,
		.dax = has_window(how, more),
		.attr_ns = cache_policy_at(how & 3)->timeout_ns,
		.entry_ns = cache_policy_at(how & 3)->timeout_ns,
	};
	const struct fuse_deferral deferral = {
		.defer = defer,
		.finish = finish,
		.finish_last = finish_last,
		.defer_data = defer_data,
		.reach = reach,
		.leave = leave,
		.finish_data = finish_data,
		.opaque = &more,
	};
	struct fuse_session se;
	struct guest g = {.se = &se, .nodes = {FS_ROOT}, .nnodes = 1};

	fuse_session_init(&se, fs, &config);
	if (how & TABLE)
		fuse_session_version(&se, table);
	if (more & LATER)
		fuse_session_defer(&se, &deferral);
	if (more & LATER && more & POOL)
		must(fuse_pool_start(&se, 2) == 0);
	g.worker = fuse_worker_new(&se, 0);
	must(g.worker);
	if (in->left < 2 || !(in->at[1] & NO_INIT))
		init(&g);
	for (int i = 0; i < REQUESTS && in->left > 0; i++)
		request(&g, in);
	fuse_worker_end_waits(g.worker);
	must(atomic_load(&waiting) == 0);
	fuse_session_reset(&se);
	fuse_worker_free(g.worker);
	fuse_pool_stop(&se);
	for (uint64_t i = 0; i < SLOTS; i++)
		must(vt_is_quiet(atomic_load(words_slot(table, i))));
}

/* The passthrough must end with nothing held: no node, no handle, no lock, no descriptor. */
static void converse_with_tree(uint8_t how, uint8_t more, struct input *in)
{
	const struct dax_frontend frontend = {.apply = apply, .room = room, .opaque = &front_end};
	struct dax_window *window = has_window(how, more) ? dax_window_new(WINDOW, 64, &frontend)
							  : NULL;
	const struct passthrough_config config = {
		.locks = more & (POSIX_LOCK | FLOCK),
		.window = window,
		.dax = more & DAX_ALWAYS ? PT_DAX_ALWAYS : PT_DAX_AUTO,
		.table = how & TABLE ? table : NULL,
		.readonly = how & 8,
		.keeps = 4,
		.spares = 2,
	};
	int before = dup(0), after;
	struct fs_count n;
	struct fs *fs;

	must(before >= 0);
	close(before);
	tree_fill();
	must(passthrough_new(tree_export(), &config, &fs) == 0);
	must(passthrough_start(fs) == 0);
	limit_files(SIZE_MAX_);
	memset(&front_end, 0, sizeof(front_end));
	front_end.fails = more & DAX_FAILS;
	converse(fs, how, more, in);
	limit_files(RLIM_INFINITY);
	fs->ops->count(fs, &n);
	/* Files of a window end a moment later. */
	must((n.nodes == 1 || window) && n.handles == 0 && n.cold == 0 && n.listing_bytes == 0);
	must(n.lock_owners == 0 && n.lock_ranges == 0 && n.lock_waits == 0 && n.spares == 0);
	passthrough_free(fs);
	if (window)
		dax_window_free(window);
	/* Whom the last request made us is no matter to what follows. */
	cred_be_daemon();
	after = dup(0);
	must(after == before);
	close(after);
	tree_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = take_u8(&in), more = take_u8(&in);

	log_open("fuzz", how & 32 ? LOG_TRACE : LOG_OFF);
	/* As the daemon's threads: what is started begins with its credentials. */
	cred_be_daemon();
	if (how & 64)
		converse(fs_null(), how, more, &in);
	else
		converse_with_tree(how, more, &in);
	return 0;
}
