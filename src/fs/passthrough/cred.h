// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whose rights a system call of this thread has.
 *
 * What a guest creates belongs to the guest's user: the thread takes that user's file system ids
 * (setfsuid(2), per thread) and the supplementary groups that the request names, and keeps them
 * until an operation needs others, so that nothing is switched while the caller stays the same.
 * CAP_DAC_OVERRIDE is kept while switched: the guest has checked permissions, with groups and
 * capabilities that the host does not hear of; the ids and groups decide who owns what is created
 * and whether it may keep its set-group-id bit. A daemon that may not switch ids works as itself,
 * and files belong to its user.
 *
 * Every operation of passthrough/ whose outcome depends on credentials calls one of these functions
 * first; it may rely on nothing that an earlier one left.
 */
#ifndef PASSTHROUGH_CRED_H
#define PASSTHROUGH_CRED_H

#include "fs/fs.h"

/* Finds out, once before threads start, whether ids can be switched. */
void cred_init(void);

/* From now on each operation that needs a caller's rights has its thread switch to them and back,
 * as if nothing were kept between requests; before threads start. For measuring what that is
 * worth. */
void cred_keep_none(void);

/* The capabilities that some operation of passthrough/ needs, as bits: what the daemon keeps of
 * those that it has. Without CAP_SETUID and CAP_SETGID no ids are switched. */
uint64_t cred_capabilities(void);

/* Whether the daemon may read whatever file it opens, as far as the host's modes and ACLs say. */
bool cred_reads_all(void);

/* From here on this thread acts as the daemon itself. */
void cred_be_daemon(void);

/* From here on this thread creates files as who, with who's umask. 0, or -EINVAL for an id of -1,
 * which means "no such id" (id-mapped mounts), or -EPERM for one that cannot be had. */
int cred_be_caller(const struct fs_caller *who);

/* The same without the override: permissions count. */
int cred_be_checked(const struct fs_caller *who);

/* From here on until the next call of these functions, what this thread writes or truncates loses
 * its set-id bits, as if an ordinary user did it. 0 or -errno. */
int cred_be_unprivileged_writer(void);

/* Makes a directory the working directory of this thread alone, for system calls that take a name
 * but no directory. 0 or -errno. */
int cred_work_in(int dir_fd);

#endif
