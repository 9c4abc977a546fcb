// SPDX-License-Identifier: BSD-2-Clause
/*
 * The stages of isolation.h, for isolation.c alone. Each does what its line there says or ends the
 * program (die()).
 */
#ifndef DAEMON_STAGES_H
#define DAEMON_STAGES_H

#include "daemon/isolation.h"

/* userns.c */

/* Whether the sandbox of this process needs a user namespace. */
bool userns_is_wanted(const struct isolation *config);

/* Whether this process is in one that the sandbox made. */
bool userns_is_entered(void);

/* Enters a user namespace and has its ids mapped. */
void userns_enter(const struct isolation *config);

/* Becomes an id that the namespace has, where the own one is none of them. */
void userns_settle(const struct isolation *config);

/* root.c: /proc/self/fd, of a proc that only we can reach where there is a namespace for it */
int root_pivot(const struct isolation *config, int share_fd, const char *path);
int root_chroot(int share_fd, const char *path);
int root_host_proc(void);

/* capabilities.c */
void capabilities_cut(const struct isolation *config);
void capabilities_cut_monitor(void);
void capabilities_cut_watcher(void);

/* Never more privileges through execve(2), and no core file of what guests sent. */
void capabilities_forsake(void);

/* Whether this thread has a capability. */
bool capability_is_had(int cap);

/* The bit of a capability's name without "cap_", in any case; 0: there is none. */
uint64_t capability_bit(const char *name, size_t len);

/* landlock.c */
void landlock_enter(const struct isolation *config, const char *root);

/* seccomp.c */
void seccomp_enter(const struct isolation *config);
void seccomp_enter_monitor(const struct isolation *config);
void seccomp_enter_watcher(const struct isolation *config);

#endif
