/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What main.c starts and ends, in this order. */
#ifndef KMOD_MAIN_H
#define KMOD_MAIN_H

int cw_requests_create(void);
void cw_requests_destroy(void);
int cw_inodes_create(void);
void cw_inodes_destroy(void);
int cw_files_create(void);
void cw_files_destroy(void);
int cw_sysfs_create(void);
void cw_sysfs_destroy(void);
int cw_virtio_register(void);
void cw_virtio_unregister(void);
int cw_super_register(void);
void cw_super_unregister(void);

#endif
