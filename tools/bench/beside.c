// SPDX-License-Identifier: BSD-2-Clause
//
// A GETATTR while the same queue has an FSYNC under way, of much that was written, or a READ of
// what the host does not have in memory: whether a server lets those wait that want nothing of a
// disk. Before each GETATTR, and not in its time, one that is back is followed by the next one.

#include "bench.h"
#include "ground.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define QUEUE (WIRE_HIGH + 1)
// WRITEs before each FSYNC.
#define CHUNKS 16

int beside_prepare(struct session *s)
{
	uint64_t node;
	int ret = session_find(s, FUSE_ROOT_ID, GROUND_DATA_FILE, &node);

	return ret ? ret : session_keep_open(s, node, OPEN_FLAGS | O_RDWR);
}

// One that has come back, or 0 where none has.
static int take_back(struct session *s, struct wire_slot **back)
{
	uint32_t written;
	void *cookie;
	int ret = wire_collect(&s->wire, QUEUE, &cookie, &written);

	if (ret <= 0)
		return ret;
	*back = cookie;
	(*back)->written = written;
	if (*back == &s->beside.slot) {
		s->beside.out = false;
		s->beside.back = true;
	}
	return 1;
}

static int wait_for(struct session *s, const struct wire_slot *slot)
{
	struct wire_slot *back = NULL;
	int ret = 0;

	while (back != slot && ret >= 0) {
		ret = take_back(s, &back);
		if (!ret)
			ret = wire_wait(&s->wire, QUEUE, 1);
	}
	// What is still out there would be taken for the next one's.
	if (ret == -EINTR)
		wire_lose(&s->wire, "the bench was stopped");
	return ret < 0 ? ret : 0;
}

static int submit(struct session *s, struct wire_slot *slot)
{
	return s->wire.lost ? -ENOTCONN : wire_submit(&s->wire, QUEUE, slot);
}

static int write_chunk(struct session *s, unsigned int i)
{
	const size_t size = s->max_data < BESIDE_DATA ? s->max_data : BESIDE_DATA;
	const struct fuse_write_in in = {
		.fh = s->open.fh, .offset = i * size, .size = (uint32_t)size};
	struct wire_slot *slot = &s->beside.slot;
	struct fuse_write_out out;
	int ret;

	wire_begin(slot, FUSE_WRITE, s->open.node);
	wire_argument(slot, &in, sizeof(in));
	wire_payload(slot, size);
	wire_room(slot, sizeof(out), 0);
	ret = submit(s, slot);
	if (!ret)
		ret = wait_for(s, slot);
	if (!ret)
		ret = wire_reply(slot, &out, sizeof(out));
	if (ret < 0)
		return ret;
	return (size_t)ret < sizeof(out) || out.size != size ? -EPROTO : 0;
}

// What the last one came to, if it is back.
static int look_back(struct session *s)
{
	struct wire_slot *back;
	int ret = s->beside.out ? take_back(s, &back) : 0;

	if (ret >= 0 && s->beside.back)
		ret = wire_reply(&s->beside.slot, NULL, 0);
	if (ret >= 0 && s->beside.back && (size_t)ret != s->beside.size)
		ret = -EPROTO;
	if (!s->beside.out)
		s->beside.back = false;
	return ret < 0 ? ret : 0;
}

// The slot's request, which is complete; its reply has so much data.
static int begin(struct session *s, size_t size)
{
	int ret = submit(s, &s->beside.slot);

	s->beside.size = size;
	s->beside.out = !ret;
	return ret;
}

int beside_begin_fsync(struct session *s)
{
	const struct fuse_fsync_in in = {.fh = s->open.fh};
	struct wire_slot *slot = &s->beside.slot;
	int ret = look_back(s);

	if (ret || s->beside.out)
		return ret;
	for (unsigned int i = 0; i < CHUNKS && !ret; i++)
		ret = write_chunk(s, i);
	s->beside.back = false;
	if (ret)
		return ret;
	wire_begin(slot, FUSE_FSYNC, s->open.node);
	wire_argument(slot, &in, sizeof(in));
	wire_room(slot, 0, 0);
	return begin(s, 0);
}

// Has the host forget the file's data, which has to be on its disk for that.
static int make_cold(const struct ground *ground)
{
	int fd = openat(ground->fd, GROUND_DATA_FILE, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = fdatasync(fd) ? -errno : -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return ret;
}

int beside_begin_read(struct session *s)
{
	const size_t size = s->max_data < BESIDE_DATA ? s->max_data : BESIDE_DATA;
	const struct fuse_read_in in = {.fh = s->open.fh, .size = (uint32_t)size};
	struct wire_slot *slot = &s->beside.slot;
	int ret = look_back(s);

	if (ret || s->beside.out)
		return ret;
	ret = make_cold(s->ground);
	if (ret)
		return ret;
	wire_begin(slot, FUSE_READ, s->open.node);
	wire_argument(slot, &in, sizeof(in));
	wire_room(slot, 0, size);
	return begin(s, size);
}

int beside_getattr(struct session *s)
{
	const struct fuse_getattr_in in = {.getattr_flags = 0};
	struct fuse_attr_out out;
	int ret;

	wire_begin(&s->slot, FUSE_GETATTR, s->held[1].node);
	wire_argument(&s->slot, &in, sizeof(in));
	wire_room(&s->slot, sizeof(out), 0);
	ret = submit(s, &s->slot);
	if (!ret)
		ret = wait_for(s, &s->slot);
	if (!ret)
		ret = wire_reply(&s->slot, &out, sizeof(out));
	return ret >= 0 && (size_t)ret < sizeof(out) ? -EPROTO : ret;
}

int beside_end(struct session *s)
{
	int ret = s->beside.out ? wait_for(s, &s->beside.slot) : 0;

	if (!ret && s->beside.back)
		ret = look_back(s);
	s->beside.out = s->beside.back = false;
	return ret;
}
