// SPDX-License-Identifier: BSD-2-Clause
//
// The frames that causeway and the guest's pid 1 exchange over one virtio-serial port.
//
// A frame is a head of 8 bytes, a payload and a trailer of 4. All numbers are little-endian.
//
// One boot of the guest is one conversation:
//
//   guest: PAD..., HELLO(nonce, release)
//   host:  START(nonce), CONF..., WINSIZE, GO
//   guest: READY                             the command runs
//   both:  DATA, EOF, CREDIT per stream; host: WINSIZE, SIGNAL, PING; guest: PONG, NOTE
//   guest: EXIT(status) or FAIL(text)        shares are unmounted; the host takes the machine down
//
// The machine may be reset at any moment and the port's socket lives on, so a frame can be cut
// anywhere and the next boot's first byte follows. From the guest that is caught by the padding:
// HELLO comes after as many NULs as the longest frame has bytes, which complete the cut frame with
// a wrong trailer. Towards the guest it is caught by the nonce: the new pid 1 drops everything
// before the START that bears the number it has just drawn.
//
// DATA flows by credit: at most FRAME_WINDOW bytes of a stream are sent ahead of what its reader
// took, so a reader that stands still never holds up signals or the other streams.

#ifndef CAUSEWAY_TOOLS_FRAME_H
#define CAUSEWAY_TOOLS_FRAME_H

#include "bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum frame_type {
	FRAME_PAD,     // a NUL byte, not a frame
	FRAME_HELLO,   // u64 nonce, kernel release as text
	FRAME_START,   // u64 nonce
	FRAME_CONF,    // a key (enum conf_key, one byte) and its value as text
	FRAME_GO,      // nothing
	FRAME_READY,   // nothing
	FRAME_DATA,    // bytes of the stream
	FRAME_EOF,     // to the reader: no more will come; to the writer: nobody reads any more
	FRAME_CREDIT,  // u32 bytes of the stream that were taken
	FRAME_WINSIZE, // u16 rows, columns, x pixels, y pixels
	FRAME_SIGNAL,  // u32 signal number for the command's process group
	FRAME_PING,    // u32 any number
	FRAME_PONG,    // the number of the PING
	FRAME_NOTE,    // text for the user
	FRAME_EXIT,    // u32 exit status as a shell would report it
	FRAME_FAIL,    // text: why the command could not be run
	FRAME_TYPES,
};

// Keys of CONF, in the order in which they may depend on each other.
enum conf_key {
	CONF_CLOCK = 'c', // seconds.nanoseconds since the epoch
	CONF_ROOT = 'r',  // tag of the share that is the root's lower layer; empty: stay in the
			  // initramfs
	CONF_SHARE = 's', // "ro" or "rw", a colon, the tag
	CONF_BIND = 'b',  // absolute path where the last share is visible as well
	CONF_TYPE = 'f',  // file system type of the last share; else virtiofs
	CONF_DEVICE = 'd', // PCI address of its device, which the type's driver is to have
	CONF_OPTIONS = 'o', // its mount options
	CONF_KMOD = 'm',  // the kernel's module tree in the root
	CONF_ENV = 'e',	  // NAME=VALUE
	CONF_ARG = 'a',	  // one word of the command; none: a login shell
	CONF_TTY = 't',	  // digits of the descriptors that are the terminal
	CONF_MERGE = '2', // standard error goes where standard output goes
};

#define FRAME_MAGIC 0xc5
#define FRAME_TRAILER 0x7957a1e3u
#define FRAME_DATA_MAX 16384u	      // payload of frames from the guest
#define FRAME_CONF_MAX (1024 * 1024u) // payload of frames to the guest
#define FRAME_OVERHEAD 12u
#define FRAME_WINDOW 65536u
#define FRAME_PADDING (FRAME_DATA_MAX + FRAME_OVERHEAD)
#define FRAME_PORT "causeway.console" // name of the port

struct frame {
	unsigned int type, stream;
	const unsigned char *data; // valid until the next bytes_add to the queue it was read from
	size_t len;
};

// Appends a frame to out; 0 or -ENOMEM.
int frame_put(
	struct bytes *out, enum frame_type type, unsigned int stream, const void *data, size_t len);
int frame_put_u32(struct bytes *out, enum frame_type type, unsigned int stream, uint32_t value);

// Reads the frame at the front of in. >0: *f is set and the number is its whole length, to be
// dropped by the caller when done; 0: not all there yet. What is no frame (padding, or cut by a
// reset) is dropped silently.
size_t frame_get(struct bytes *in, size_t max, struct frame *f);

uint32_t frame_u32(const struct frame *f); // 0 when too short

#endif
