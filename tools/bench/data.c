// SPDX-License-Identifier: BSD-2-Clause
//
// Loads: reads and writes of one size, with so many in flight on each queue all the time. A queue
// has a thread, as a guest has a processor.

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Both requests begin with the handle and the offset.
_Static_assert(offsetof(struct fuse_read_in, offset) == offsetof(struct fuse_write_in, offset),
	"READ and WRITE differ");

struct worker {
	struct load_run *run;
	unsigned int index;
	struct session *s; // or NULL:
	int fd;		   // plain system calls
	uint64_t start_ns, end_ns, operations;
	uint64_t random, next; // of the file: blocks
	struct histogram *latency;
	pthread_t thread;
	int error;
};

static uint64_t next_offset(struct worker *w)
{
	const struct load *load = w->run->load;
	uint64_t blocks = GROUND_DATA / load->size;

	if (!load->random)
		return w->next++ % blocks * load->size;
	return bench_random(&w->random) % blocks * load->size;
}

static void prepare_slot(struct worker *w, struct wire_slot *slot)
{
	const uint32_t size = (uint32_t)w->run->load->size;
	const struct session *s = w->s;

	if (w->run->load->writes) {
		const struct fuse_write_in in = {.fh = s->open.fh, .size = size};

		wire_begin(slot, FUSE_WRITE, s->open.node);
		wire_argument(slot, &in, sizeof(in));
		wire_payload(slot, size);
		wire_room(slot, sizeof(struct fuse_write_out), 0);
	} else {
		const struct fuse_read_in in = {.fh = s->open.fh, .size = size};

		wire_begin(slot, FUSE_READ, s->open.node);
		wire_argument(slot, &in, sizeof(in));
		wire_room(slot, 0, size);
	}
}

static int send_slot(struct worker *w, struct wire_slot *slot, uint64_t now)
{
	const uint64_t offset = next_offset(w);

	memcpy(slot->in + sizeof(struct fuse_in_header) + offsetof(struct fuse_read_in, offset),
		&offset, sizeof(offset));
	slot->sent_ns = now;
	return wire_submit(&w->s->wire, WIRE_HIGH + 1 + w->index, slot);
}

// The file is longer than what is asked for, so all of it has to be there.
static int check_slot(const struct worker *w, const struct wire_slot *slot)
{
	struct fuse_write_out out = {.size = 0};
	int ret;

	if (!w->run->load->writes) {
		ret = wire_reply(slot, NULL, 0);
		return ret < 0 ? ret : (size_t)ret == w->run->load->size ? 0 : -EPROTO;
	}
	ret = wire_reply(slot, &out, sizeof(out));
	if (ret < 0)
		return ret;
	return (size_t)ret >= sizeof(out) && out.size == w->run->load->size ? 0 : -EPROTO;
}

static int drive(struct worker *w)
{
	struct wire_slot *slots = w->s->slots + (size_t)w->index * w->s->depth;
	const unsigned int queue = WIRE_HIGH + 1 + w->index;
	uint64_t now = w->start_ns, end = now + w->run->limit_ns;
	unsigned int flying = 0;
	int error = 0, ret = 0;
	void *cookie;

	while (flying < w->run->load->depth && !ret) {
		prepare_slot(w, &slots[flying]);
		ret = send_slot(w, &slots[flying], bench_now_ns());
		flying += !ret;
	}
	while (flying && ret >= 0) {
		uint32_t written;

		ret = wire_collect(&w->s->wire, queue, &cookie, &written);
		if (!ret)
			ret = wire_wait(&w->s->wire, queue, 1);
		else if (ret > 0) {
			struct wire_slot *slot = cookie;

			slot->written = written;
			flying--;
			now = bench_now_ns();
			if (!error)
				error = check_slot(w, slot);
			histogram_add(w->latency, now - slot->sent_ns);
			w->operations++;
			if (error || now >= end || bench_stop)
				continue;
			ret = send_slot(w, slot, now);
			flying += !ret;
		}
	}
	// What is in flight still would come back to the next load.
	if (flying)
		wire_lose(&w->s->wire, "requests were abandoned");
	w->end_ns = now;
	return ret < 0 ? ret : error;
}

static int drive_plain(struct worker *w)
{
	const struct load *load = w->run->load;
	uint64_t now = w->start_ns, end = now + w->run->limit_ns;
	AUTO_FREE char *data = calloc(1, load->size);

	if (!data)
		return -ENOMEM;
	while (now < end && !bench_stop) {
		off_t offset = (off_t)next_offset(w);
		uint64_t before = now;
		ssize_t n = load->writes ? pwrite(w->fd, data, load->size, offset)
					 : pread(w->fd, data, load->size, offset);

		if (n != (ssize_t)load->size)
			return n < 0 ? -errno : -EIO;
		now = bench_now_ns();
		histogram_add(w->latency, now - before);
		w->operations++;
	}
	w->end_ns = now;
	return 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	w->start_ns = bench_now_ns();
	w->error = w->s ? drive(w) : drive_plain(w);
	return NULL;
}

// Sequential ones begin in different parts of the file, random ones with different numbers.
static int start_worker(
	struct worker *w, struct load_run *run, unsigned int i, struct session *s, int fd)
{
	int ret;

	*w = (struct worker){.run = run, .index = i, .s = s, .fd = fd};
	w->next = GROUND_DATA / run->load->size / run->load->queues * i;
	w->random = bench_now_ns() * (2 * i + 1) | 1;
	// One thread does what it counts itself.
	if (run->load->queues == 1) {
		w->latency = run->latency;
		work(w);
		return 0;
	}
	w->latency = calloc(1, sizeof(*w->latency));
	if (!w->latency)
		return -ENOMEM;
	ret = -pthread_create(&w->thread, NULL, work, w);
	if (ret)
		free(w->latency);
	return ret;
}

static int run_workers(struct load_run *run, struct session *s, int fd)
{
	struct worker workers[BENCH_QUEUES_MAX];
	uint64_t start = UINT64_MAX, end = 0;
	unsigned int n = 0;
	int ret = 0;

	while (n < run->load->queues && !ret) {
		ret = start_worker(&workers[n], run, n, s, fd);
		n += !ret;
	}
	run->operations = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct worker *w = &workers[i];

		if (w->latency != run->latency) {
			pthread_join(w->thread, NULL);
			histogram_merge(run->latency, w->latency);
			free(w->latency);
		}
		run->operations += w->operations;
		start = w->start_ns < start ? w->start_ns : start;
		end = w->end_ns > end ? w->end_ns : end;
		ret = ret ? ret : w->error;
	}
	run->ns = end > start ? end - start : 0;
	return ret;
}

int load_prepare(struct session *s, const struct load *load)
{
	uint64_t node;
	int ret;

	if (load->queues > s->queues)
		return -EOPNOTSUPP;
	if (load->size > s->max_data)
		return -EMSGSIZE;
	ret = session_find(s, FUSE_ROOT_ID, GROUND_DATA_FILE, &node);
	return ret ? ret
		   : session_keep_open(s, node, OPEN_FLAGS | (load->writes ? O_RDWR : O_RDONLY));
}

int load_run(struct session *s, struct load_run *run)
{
	return run_workers(run, s, -1);
}

int load_run_plain(const struct ground *g, struct load_run *run)
{
	AUTO_CLOSE int fd = openat(
		g->fd, GROUND_DATA_FILE, (run->load->writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);

	return fd < 0 ? -errno : run_workers(run, NULL, fd);
}
