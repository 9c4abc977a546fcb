// SPDX-License-Identifier: BSD-2-Clause
/*
 * Records of requests and replies, for `causeway decode`.
 *
 * A recording is a file: struct record_head, then records, each struct record and the bytes that
 * it says it has. All numbers are little-endian. A request and its reply have the same unique and
 * queue; of chains that nothing is written to (FORGET) there is a request only. Records are in
 * the order of their times but for those that threads made at once. A recording may end in the
 * middle of a record, where its writer was ended.
 *
 * What is kept of a message is its header, structures and names, and how long it was; payload
 * (data, values of attributes, listings) only where the recorder was told to. Each record is
 * written with one system call: a crash loses none. Where one cannot be written, recording ends.
 *
 * The bytes of a guest are read a second time for this, and may not be those that were served.
 */
#ifndef TRACE_RECORD_H
#define TRACE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define RECORD_MAGIC   "CWAYREC\n"
#define RECORD_VERSION 1

struct record_head {
	char magic[8];
	uint32_t version;
	uint32_t with_data; /* payload is in it */
	uint64_t began_ns;  /* CLOCK_REALTIME */
};

/* A reply that has words of the version table before its payload is one of the last kind. */
enum record_kind { RECORD_REQUEST = 1, RECORD_REPLY = 2, RECORD_REPLY_WORDS = 3 };

struct record {
	uint32_t size; /* bytes that follow this structure */
	uint16_t kind, queue;
	uint64_t time_ns; /* since began_ns, by a clock that does not jump */
	uint64_t unique;
	uint32_t length; /* of the whole message */
	uint32_t opcode;
};

/* More than the longest message with a payload (FUSE_DATA_MAX of src/fuse). */
#define RECORD_SIZE_MAX ((16u << 20) + (64u << 10))

struct recorder;

/* Begins a recording in a new file or over an old one, or into what is no file, such as a FIFO.
 * failed() is called once, on any thread, where a record cannot be written; or NULL. 0 or
 * -errno. */
int recorder_open(const char *path, bool with_data, void (*failed)(int error),
	struct recorder **rec);
void recorder_close(struct recorder *rec);

/* What a message is of. */
struct recorded {
	uint64_t unique;
	uint32_t opcode;
	bool words; /* set by who knows: its good reply has them */
};

/* Records a request of len bytes, from any thread; says what it was, for its reply. */
struct recorded recorder_request(struct recorder *rec, unsigned int queue,
	const struct iovec *iov, size_t len);

/* Records the reply, of which there are written bytes (0: none). */
void recorder_reply(struct recorder *rec, unsigned int queue, const struct recorded *of,
	const struct iovec *iov, size_t written);

#endif
