// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fuzzes the client with replies: an input is a row of calls of the library's API, and what a
 * back-end says to the requests that come of them. It stands in the place of the transport; each
 * reply begins as a good one that the input changes, so that zeros are an honest back-end.
 *
 * With cache=shared there is a version table (words.h), which others change too: the input, between
 * calls and before the client looks at a reply.
 *
 * With a window, the back-end has mapped the first half of it with something, and of the rest it
 * only says so.
 *
 * Input: u8 which minor version of FUSE is asked for, and what is kept (below), then calls: u8
 * which, u8 how. Each request takes, when it is sent: u8 flags (below), u8 kind of node or number
 * of error, u8 bytes of change, and those bytes, which are XORed into the reply; u8 where, u8 by
 * what the table changes then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "client/file.h"
#include "fuzz.h"
#include "words.h"

#define CALLS   64
#define HANDLES 4
#define MEMORY  (1u << 20)
#define MAPS    4
#define WINDOW_BYTES (1u << 20)
#define ROOM    8192 /* bytes of a reply that are made; the rest of what there is room for is cut */

/* The first byte. */
#define MINOR     0x0f
#define CACHE     4 /* shift: cache_mode_at() */
#define SHARED    0x30 /* without WRITEBACK: cache=shared */
#define WRITEBACK 0x40
#define WINDOW    0x80

/* Flags of a reply. */
#define CHANGED    0x01 /* bytes of change follow */
#define LONGER     0x02 /* so many bytes of change behind the good reply, else in it */
#define IS_ERROR   0x04
#define HEADER     0x08 /* the change begins in the header */
#define CUT        0x10 /* less is written than the header says: by the second byte */
#define LOST       0x20 /* the back-end goes, now */
#define INTERRUPTS 0x40 /* while it is waited for, another thread interrupts */
#define CHANGES    0x80 /* the table changes */

static struct input *in;
static struct causeway *c;
static struct causeway_file *handles[HANDLES];
static struct causeway_token *token;
static bool interrupts;
static unsigned int submitted;
static struct request *sent; /* those that nobody waits for, until somebody looks */
static char *memory, *buffer; /* guest memory, and a page of it that is the program's */
static char *window;
static bool has_window;
static struct {
	void *at;
	size_t length;
} maps[MAPS];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int fd = memfd_create("window", MFD_CLOEXEC);

	memory = aligned_alloc(ARENA_PAGE, MEMORY);
	must(memory);
	must(fd >= 0 && ftruncate(fd, WINDOW_BYTES / 2) == 0);
	window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(window != MAP_FAILED);
	close(fd);
	words_make_tables();
	return 0;
}

/* ---- The replies ------------------------------------------------------------------------- */

static struct fuse_attr attr_of(uint64_t node, uint8_t kind)
{
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO};

	return (struct fuse_attr){
		.ino = node,
		.size = has_window ? 300000 : 100,
		.mode = (node == FUSE_ROOT_ID ? S_IFDIR : types[kind % 4]) | 0644,
		.nlink = 1,
	};
}

static size_t listing(char *reply, uint64_t dir, bool plus, uint8_t kind)
{
	size_t at = 0;

	for (unsigned int i = 0; i < 3; i++) {
		struct fuse_entry_out entry = {.nodeid = i * 5, .attr = attr_of(i * 5, kind)};
		struct fuse_dirent d = {
			.ino = 7, .off = i + 1, .namelen = 3 + i, .type = DT_REG};

		if (plus && c->table.words)
			words_of_entry(dir, &entry);
		if (plus) {
			memcpy(reply + at, &entry, sizeof(entry));
			at += sizeof(entry);
		}
		memcpy(reply + at, &d, sizeof(d));
		memcpy(reply + at + sizeof(d), "names", d.namelen);
		at += FUSE_DIRENT_ALIGN(sizeof(d) + d.namelen);
	}
	return at;
}

static size_t put(char *reply, const void *bytes, size_t len)
{
	memcpy(reply, bytes, len);
	return len;
}

/* The node that an entry is of. */
static uint64_t child_of(uint8_t kind)
{
	return 2 + kind / 4 % 8;
}

/* What a good back-end says: how many bytes. args is what follows the request's header. */
static size_t good_reply(const struct fuse_in_header *head, const char *args, uint8_t kind,
	char *reply)
{
	const struct fuse_copy_file_range_in *copy = (const void *)args;
	const struct fuse_getxattr_in *xattr = (const void *)args;
	const struct fuse_init_in *init = (const void *)args;
	const struct fuse_read_in *data = (const void *)args;
	uint64_t node = child_of(kind);
	struct vt_hello_out hello = words_hello();
	struct fuse_attr_out attr = {.attr = attr_of(head->nodeid, kind)};
	struct fuse_statx_out statx = {.attr_valid = 0};
	struct fuse_create_out entry = {
		.entry = {.nodeid = node, .attr_valid = kind & 1, .attr = attr_of(node, kind)}};

	switch (head->opcode) {
	case FUSE_INIT:
		return put(reply,
			&(struct fuse_init_out){.major = 7,
				.minor = init->minor,
				.flags = init->flags,
				.max_write = 65536,
				.max_pages = 16},
			sizeof(struct fuse_init_out));
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		return put(reply, &entry, sizeof(entry));
	case FUSE_LOOKUP:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		return put(reply, &entry, sizeof(entry.entry));
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		return put(reply, &attr, sizeof(attr));
	case FUSE_STATX:
		statx.stat.mode = (uint16_t)attr.attr.mode;
		return put(reply, &statx, sizeof(statx));
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return put(reply, &(struct fuse_open_out){.fh = 3}, sizeof(struct fuse_open_out));
	case FUSE_READ:
		memset(reply, 'r', ROOM);
		return data->size < ROOM ? data->size : ROOM;
	case FUSE_WRITE:
		return put(reply, &(struct fuse_write_out){.size = data->size},
			sizeof(struct fuse_write_out));
	case FUSE_COPY_FILE_RANGE:
	case FUSE_COPY_FILE_RANGE_64:
		return put(reply, &copy->len, sizeof(copy->len));
	case FUSE_LSEEK:
		return put(reply, args + 8, sizeof(struct fuse_lseek_out));
	case FUSE_READLINK:
		return put(reply, "a/b", 3);
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		return listing(reply, head->nodeid, head->opcode == FUSE_READDIRPLUS, kind);
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		return xattr->size ? put(reply, "user.a\0user.b", 14) :
			put(reply, &(struct fuse_getxattr_out){.size = 14}, 8);
	case FUSE_STATFS:
		return put(reply, &(struct fuse_statfs_out){.st = {.bsize = 512}},
			sizeof(struct fuse_statfs_out));
	case VT_HELLO:
		return put(reply, &hello, sizeof(hello));
	case FUSE_GETLK:
		return put(reply, args + 16, sizeof(struct fuse_lk_out));
	default:
		return 0;
	}
}

/* ---- The transport ----------------------------------------------------------------------- */

static char *at(const struct virtq_buffer *b)
{
	return (char *)(uintptr_t)b->gpa;
}

/* Writes a reply over the buffers that a request has for it; what is more is cut. */
static void write_out(struct request *r, const char *reply, size_t len)
{
	for (unsigned int i = r->nin; i < r->nin + r->nout && len > 0; i++) {
		size_t part = len < r->buffers[i].len ? len : r->buffers[i].len;

		memcpy(at(&r->buffers[i]), reply, part);
		r->written += (uint32_t)part;
		reply += part;
		len -= part;
	}
}

/* The client asks for the next table once a second, but there is no time here. */
static void change_table(uint8_t where)
{
	if (words_change(where, take_u8(in)))
		c->table.next_ms = 0;
}

static void answer(struct request *r)
{
	static char reply[sizeof(struct fuse_out_header) + VT_WORDS_MAX + ROOM + 256];
	const struct fuse_in_header *head = (const void *)at(&r->buffers[0]);
	const char *args = r->nin > 1 ? at(&r->buffers[1]) : "";
	struct fuse_out_header out = {.unique = head->unique};
	uint8_t flags = take_u8(in), kind = take_u8(in);
	uint8_t changes = flags & CHANGED ? take_u8(in) : 0;
	size_t len, words = 0, from;

	memset(reply, 0, sizeof(reply));
	if (c->table.words)
		words = words_of_reply(head->opcode, head->nodeid, child_of(kind),
			reply + sizeof(out));
	len = words + good_reply(head, args, kind, reply + sizeof(out) + words);
	if (flags & IS_ERROR) {
		/* No error is a success that says nothing. */
		out.error = -(int32_t)kind;
		len = kind ? 0 : words;
	}
	from = flags & HEADER ? 0 : sizeof(out) + (flags & LONGER ? len : 0);
	len += flags & LONGER ? changes : 0;
	out.len = (uint32_t)(sizeof(out) + len);
	memcpy(reply, &out, sizeof(out));
	for (size_t i = 0; i < changes; i++)
		reply[from + i] ^= (char)take_u8(in);
	if (flags & CHANGES)
		change_table(take_u8(in));
	len += sizeof(out);
	write_out(r, reply, flags & CUT && kind < len ? len - kind : len);
	interrupts = flags & INTERRUPTS;
	if (flags & LOST)
		atomic_store(&c->t.lost, true);
}

int transport_open(struct transport *t, int sock, const struct vhost_frontend_config *config,
	uint32_t spin_us)
{
	return -ENOTCONN;
}

void transport_reap(struct transport *t)
{
	struct request *next;

	for (; sent; sent = next) {
		next = sent->next;
		sent->finished(sent);
	}
}

void transport_reap_one(struct transport *t, unsigned int queue)
{
	transport_reap(t);
}

void transport_drain(struct transport *t, unsigned int queue)
{
	transport_reap(t);
}

void transport_close(struct transport *t)
{
	transport_reap(t);
	must(t->arena.passing == 0);
	for (size_t i = 0; i < MEMORY / ARENA_PAGE / 64; i++)
		must(t->arena.bits[i] == 0);
	arena_destroy(&t->arena);
}

static void add(struct request *r, const void *p, size_t len)
{
	must(len > 0 && arena_holds(&c->t.arena, p, len));
	must(r->nin + r->nout < REQUEST_BUFFERS);
	r->buffers[r->nin + r->nout] =
		(struct virtq_buffer){.gpa = (uintptr_t)p, .len = (uint32_t)len};
}

void request_add_in(struct transport *t, struct request *r, const void *p, size_t len)
{
	add(r, p, len);
	r->nin++;
}

void request_add_out(struct transport *t, struct request *r, void *p, size_t len)
{
	add(r, p, len);
	r->nout++;
}

int transport_submit(struct transport *t, unsigned int queue, struct request *r)
{
	r->written = 0;
	r->status = 0;
	if (atomic_load(&t->lost))
		return -ENOTCONN;
	if (r->nout > 0) {
		answer(r);
		r->status = atomic_load(&t->lost) ? -ENOTCONN : 0;
	} else {
		must(queue == 0);
	}
	if (r->finished) {
		r->next = sent;
		sent = r;
	}
	return 0;
}

void transport_wait(struct transport *t, unsigned int queue, struct request *r)
{
	if (interrupts && token)
		causeway_interrupt(token);
	interrupts = false;
}

unsigned int transport_my_queue(struct transport *t)
{
	return 1;
}

/* Nobody waits for the next table (client/table.c). */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	return 0;
}

void transport_why(struct transport *t, char *text, size_t size)
{
	snprintf(text, size, "the input says so");
}

/* ---- The calls --------------------------------------------------------------------------- */

static const char *path_of(uint8_t how)
{
	static const char *const paths[] = {"f", "d/e", "/", "..", "a/../b/", "d/./e/f", "", "l/x"};

	return paths[how % 8];
}

static struct causeway_file *at_of(uint8_t how)
{
	return how & 0x40 ? handles[how % HANDLES] : NULL;
}

static void check_result(long r)
{
	must(r >= 0 || (r > -512 && causeway_error(c)));
}

/* All that is in flight is over before a handle is closed. */
static void reap_all(void)
{
	struct causeway_completion done[3];
	unsigned int n;

	while ((n = causeway_reap(c, done, 3)) > 0) {
		must(n <= submitted);
		submitted -= n;
		for (unsigned int i = 0; i < n; i++)
			must(done[i].user == handles && done[i].result > -512 &&
				done[i].result <= 1 << 16);
	}
	must(submitted == 0);
}

static void call_open(struct causeway_file **h, uint8_t how)
{
	static const int flags[] = {O_RDONLY, O_RDWR, O_RDWR | O_CREAT, O_CREAT | O_EXCL | O_WRONLY,
		O_DIRECTORY, O_PATH, O_TMPFILE | O_RDWR, O_RDWR | O_TRUNC | O_APPEND};
	struct causeway_file *f;

	if (causeway_open(c, at_of(how), path_of(how), flags[how >> 3 & 7], 0644, &f) < 0) {
		must(!f);
		return;
	}
	reap_all();
	causeway_close(*h);
	*h = f;
}

static void call_close(struct causeway_file **h, uint8_t how)
{
	reap_all();
	check_result(causeway_close(*h));
	*h = NULL;
}

static void call_data(struct causeway_file **h, uint8_t how)
{
	static char buf[1 << 17];
	size_t size = (size_t)1 << how % 17;
	struct iovec iov[3] = {{buf, size / 2}, {NULL, 0}, {buf + size / 2, size - size / 2}};
	ssize_t n = 0;

	switch (how >> 5) {
	case 0:
		n = causeway_pread(*h, buf, size, how);
		break;
	case 1:
		n = causeway_pwrite(*h, buf, size, how);
		break;
	case 2:
		n = causeway_preadv(*h, iov, 3, 0);
		break;
	case 3:
		n = causeway_pwritev(*h, iov, 3, 0);
		break;
	case 4:
		n = causeway_read(*h, buf, size);
		break;
	case 5:
		n = causeway_write(*h, buf, size);
		break;
	case 6:
		check_result(causeway_lseek(*h, how & 15, how >> 4 & 7));
		break;
	default:
		check_result(causeway_fsync(*h, how & 1));
	}
	must(n <= (ssize_t)size);
	check_result(n);
}

static void call_list(struct causeway_file **h, uint8_t how)
{
	struct causeway_dirent e;
	struct stat st;
	int r;

	if (how & 0x80)
		causeway_seekdir(*h, how);
	r = how & 1 ? causeway_readdir(*h, &e) : causeway_readdirplus(*h, &e, &st);
	check_result(r);
	if (r == 1)
		must(e.name[0] && !strchr(e.name, '/') && causeway_telldir(*h) == e.offset);
}

static void call_attr(struct causeway_file **h, uint8_t how)
{
	const struct timespec times[2] = {{1, UTIME_NOW}, {2, 3}};
	struct causeway_file *from = at_of(how);
	const char *path = path_of(how);
	struct statx stx;
	struct stat st;

	switch (how >> 3 & 7) {
	case 0:
		check_result(causeway_stat(c, from, path, &st, AT_EMPTY_PATH));
		break;
	case 1:
		check_result(causeway_statx(c, from, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &stx));
		break;
	case 2:
		check_result(causeway_chmod(c, from, path, 0600, AT_EMPTY_PATH));
		break;
	case 3:
		check_result(causeway_chown(c, from, path, 1, 2, AT_SYMLINK_NOFOLLOW));
		break;
	case 4:
		check_result(causeway_truncate(c, from, path, 5));
		break;
	case 5:
		check_result(causeway_utimens(c, from, path, times, 0));
		break;
	case 6:
		check_result(causeway_access(c, from, path, how >> 3 & 7, 0));
		break;
	default:
		if (*h)
			check_result(causeway_ftruncate(*h, how));
	}
}

static void call_names(struct causeway_file **h, uint8_t how)
{
	struct causeway_file *from = at_of(how);
	const char *path = path_of(how);
	char target[16];

	switch (how >> 3 & 7) {
	case 0:
		check_result(causeway_mkdir(c, from, path, 0755));
		break;
	case 1:
		check_result(causeway_unlink(c, from, path, how & 0x80 ? AT_REMOVEDIR : 0));
		break;
	case 2:
		check_result(causeway_symlink(c, "target", from, path));
		break;
	case 3:
		check_result(causeway_link(c, from, path, NULL, "new"));
		break;
	case 4:
		check_result(causeway_rename(c, from, path, NULL, "new", how >> 7));
		break;
	case 5:
		check_result(causeway_mknod(c, from, path, S_IFCHR, 0x1234));
		break;
	case 6:
		check_result(causeway_readlink(c, from, path, target, sizeof(target)));
		break;
	default:
		if (*h)
			check_result(causeway_flink(*h, from, path));
	}
}

static void call_xattr(struct causeway_file **h, uint8_t how)
{
	struct causeway_file *from = at_of(how);
	const char *path = path_of(how);
	size_t size = how & 0x80 ? 64 : 0;
	char buf[64];
	ssize_t n;

	switch (how >> 3 & 3) {
	case 0:
		n = causeway_getxattr(c, from, path, "user.a", buf, size, AT_EMPTY_PATH);
		must(n <= (ssize_t)size || size == 0);
		check_result(n);
		break;
	case 1:
		n = causeway_listxattr(c, from, path, buf, size, AT_EMPTY_PATH);
		must(size == 0 || n <= 0 || (n <= (ssize_t)size && buf[n - 1] == '\0'));
		check_result(n);
		break;
	case 2:
		check_result(causeway_setxattr(c, from, path, "user.a", "v", 1, 0, 0));
		break;
	default:
		check_result(causeway_removexattr(c, from, path, "user.a", 0));
	}
}

static void call_space(struct causeway_file **h, uint8_t how)
{
	struct causeway_file *to = handles[how >> 4 & 3];
	struct statvfs st;

	switch (how & 3) {
	case 0:
		check_result(causeway_fallocate(*h, 0, 0, how));
		break;
	case 1:
		if (to)
			must(causeway_copy_file_range(*h, 0, to, 200, 100) <= 100);
		break;
	case 2:
		check_result(causeway_statvfs(c, *h, "", &st));
		break;
	default:
		check_result(causeway_syncfs(c));
	}
}

static void call_lock(struct causeway_file **h, uint8_t how)
{
	struct flock lock = {.l_type = how & 3, .l_whence = how >> 2 & 3, .l_len = how >> 4};

	switch (how >> 6) {
	case 0:
		check_result(causeway_getlk(*h, 1 + how % 3, &lock));
		must(lock.l_start >= 0 && lock.l_len >= 0);
		break;
	case 1:
		check_result(causeway_setlk(*h, 1 + how % 3, &lock));
		break;
	case 2:
		check_result(causeway_setlkw(*h, 1 + how % 3, &lock, token));
		break;
	default:
		check_result(causeway_flock(*h, how & 15, token));
	}
}

static void call_async(struct causeway_file **h, uint8_t how)
{
	static char own[1 << 16];
	size_t size = (size_t)1 << how % 17;
	struct causeway_lent lent;
	int r;

	switch (how >> 5) {
	case 0:
		r = causeway_submit_pread(*h, own, size, how, handles);
		break;
	case 1:
		r = causeway_submit_pwrite(*h, own, size, how, handles);
		break;
	case 2:
		r = causeway_submit_fsync(*h, 0, handles);
		break;
	case 3:
		r = causeway_submit_pread(*h, buffer, ARENA_PAGE, how, handles);
		break;
	case 4:
		r = causeway_submit_pwrite(*h, buffer + 1, ARENA_PAGE - 1, how, handles);
		break;
	case 5:
		reap_all();
		return;
	default:
		check_result(causeway_pread_lent(*h, size, how, &lent));
		must(lent.size <= size && !lent.data == !lent.size);
		causeway_release(c, &lent);
		return;
	}
	check_result(r);
	submitted += r == 0;
}

static void call_map(struct causeway_file **h, uint8_t how)
{
	unsigned int i = how & (MAPS - 1);
	size_t length = (how >> 3 & 7) * 30000;
	int r;

	if (maps[i].at) {
		must(causeway_unmap(c, maps[i].at, maps[i].length) == 0);
		maps[i].at = NULL;
		return;
	}
	r = causeway_map(*h, length, how & 4 ? PROT_READ : PROT_READ | PROT_WRITE,
		(how >> 6) * 20 * ARENA_PAGE, &maps[i].at);
	check_result(r);
	maps[i].length = length;
	must(r < 0 ? !maps[i].at : (char *)maps[i].at >= window &&
			(char *)maps[i].at + length <= window + WINDOW_BYTES);
}

static void unmap_all(void)
{
	for (unsigned int i = 0; i < MAPS; i++) {
		if (maps[i].at)
			must(causeway_unmap(c, maps[i].at, maps[i].length) == 0);
		maps[i].at = NULL;
	}
}

static void call_table(struct causeway_file **h, uint8_t how)
{
	change_table(how);
}

/* What is called, and whether it wants a handle that is open. */
static const struct {
	void (*call)(struct causeway_file **h, uint8_t how);
	bool on_handle;
} calls[] = {
	{call_open, false},
	{call_close, true},
	{call_data, true},
	{call_list, true},
	{call_attr, false},
	{call_names, false},
	{call_xattr, false},
	{call_space, true},
	{call_lock, true},
	{call_async, true},
	{call_map, true},
	{call_table, false},
};

/* No node is left but the root, which is there from the beginning. */
static void check_nodes(void)
{
	for (size_t i = 0; i < NODE_BUCKETS; i++) {
		for (struct node *n = c->nodes.buckets[i]; n; n = n->next)
			must(n == &c->nodes.root && n->refs == 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint8_t config;
	char minor[4];
	bool shared;

	in = &input;
	config = take_u8(in);
	c = causeway_new();
	must(c);
	snprintf(minor, sizeof(minor), "%d", 31 + (config & MINOR) % 15);
	must(causeway_set(c, "minor", minor) == 0);
	shared = (config & (SHARED | WRITEBACK)) == SHARED;
	must(causeway_set(c, "cache", shared ? "shared" :
		cache_mode_at((config >> CACHE & 3) % 3)->name) == 0);
	must(causeway_set(c, "version-table", words_path()) == 0);
	words_reset();
	must(causeway_set(c, "writeback", config & WRITEBACK ? "1" : "0") == 0);
	must(causeway_set(c, "cache-entries", "4") == 0);
	must(causeway_set(c, "cache-memory", "524288") == 0);
	has_window = config & WINDOW;
	if (has_window) {
		must(causeway_set(c, "dax", "always") == 0);
		c->t.fe.window.base = window;
		c->t.fe.window.size = WINDOW_BYTES;
	}
	must(arena_init(&c->t.arena, memory, MEMORY) == 0);
	c->t.fe.nqueues = 2;
	c->t.fe.memory_size = MEMORY;
	c->connected = true;
	token = causeway_token_new(c);
	buffer = causeway_buffer_alloc(c, ARENA_PAGE);
	must(token && buffer);
	if (client_init(c) == 0 && (!shared || table_agree(c) == 0)) {
		for (unsigned int i = 0; i < CALLS && in->left > 0; i++) {
			uint8_t which = take_u8(in), how = take_u8(in);
			struct causeway_file **h = &handles[which >> 4 & 3];

			which = (which & 15) % (sizeof(calls) / sizeof(calls[0]));
			if (*h || !calls[which].on_handle)
				calls[which].call(h, how);
		}
	}
	reap_all();
	unmap_all();
	causeway_buffer_free(c, buffer, ARENA_PAGE);
	for (unsigned int i = 0; i < HANDLES; i++) {
		causeway_close(handles[i]);
		handles[i] = NULL;
	}
	causeway_drop_caches(c);
	check_nodes();
	causeway_token_free(token);
	token = NULL;
	causeway_free(c);
	return 0;
}
