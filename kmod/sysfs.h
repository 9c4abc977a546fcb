/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * /sys/fs/causeway/TAG, while TAG is mounted:
 *   requests            how many were sent
 *   requests_by_opcode  lines "opcode count"; 0 is for those beyond FUSE's
 *   waiting             how many wait for a reply now
 *   abort               written to: the server is given up
 */
#ifndef KMOD_SYSFS_H
#define KMOD_SYSFS_H

struct cw_conn;

int cw_sysfs_add(struct cw_conn *c);
void cw_sysfs_remove(struct cw_conn *c);

#endif
