// SPDX-License-Identifier: BSD-2-Clause
/*
 * Notifications: what the back-end says unasked (virtio 1.2, section 5.11.6, the notification
 * queue).
 *
 * Where the back-end offers VIRTIO_FS_F_NOTIFICATION, buffers wait for it on queue 1. What it says
 * there is that something is not as it was: an inode, a name, or everything. What was kept of that
 * is forgotten, as after a change of ours; what a request brings that began before is no news. A
 * notification that makes no sense is passed over: it can only have made us ask too often.
 *
 * They are heard before anything that is kept is shown (client_hear(), one look at the ring where
 * there are none).
 */
#ifndef CLIENT_NOTIFY_H
#define CLIENT_NOTIFY_H

struct causeway;
struct notification;

#define NOTIFICATIONS      16     /* that can wait to be heard */
#define NOTIFICATION_BYTES 65536u /* a back-end that wants more room makes no sense */

/* Gives the back-end its buffers: 0 or -errno. */
int client_listen(struct causeway *c);

/* Hears what has been said. */
void client_hear(struct causeway *c);

/* When the transport is closed. */
void client_listen_end(struct causeway *c);

#endif
