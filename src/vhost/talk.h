// SPDX-License-Identifier: BSD-2-Clause
/*
 * How the front-end talks: messages that are told, and those that ask. Each answer is checked and
 * has a time to come in; what goes wrong is -errno, with a text in fe->error that has the message's
 * name.
 */
#ifndef VHOST_TALK_H
#define VHOST_TALK_H

#include "vhost/frontend.h"
#include "vhost/msg.h"

/* Keeps the text of what goes wrong: r. */
int frontend_fail(struct vhost_frontend *fe, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Sends a message, and where the back-end acknowledges messages, waits for that. */
int frontend_tell(struct vhost_frontend *fe, const char *name, struct vu_msg *msg);

/* Sends a message that has a reply of its own, with at least size bytes, which takes its place. */
int frontend_ask(struct vhost_frontend *fe, const char *name, struct vu_msg *msg, uint32_t size);

/* The same without anything but a number in the reply. */
int frontend_ask_u64(struct vhost_frontend *fe, uint32_t request, const char *name,
	uint64_t *value);

#define ASK_U64(fe, NAME, value) frontend_ask_u64(fe, VU_##NAME, #NAME, value)

#define tell_u64(fe, NAME, value)                                                                  \
	({                                                                                         \
		struct vu_msg m_ = {.head = {.request = VU_##NAME, .size = 8}};                    \
		m_.body.u64 = (value);                                                             \
		frontend_tell(fe, #NAME, &m_);                                                     \
	})

#define tell_state(fe, NAME, i, value)                                                             \
	({                                                                                         \
		struct vu_msg m_ = {                                                               \
			.head = {.request = VU_##NAME, .size = sizeof(struct vu_vring_state)}};    \
		m_.body.state = (struct vu_vring_state){i, value};                                 \
		frontend_tell(fe, #NAME, &m_);                                                     \
	})

#define tell_fd(fe, NAME, i, fd)                                                                   \
	({                                                                                         \
		struct vu_msg m_ = {                                                               \
			.head = {.request = VU_##NAME, .size = 8}, .fds = {fd}, .nfds = 1};        \
		m_.body.u64 = (i);                                                                 \
		frontend_tell(fe, #NAME, &m_);                                                     \
	})

#endif
