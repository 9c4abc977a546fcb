// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Locks: fcntl(2) and flock(2), which the server keeps, or this kernel alone where it does not
 * (FUSE_POSIX_LOCKS, FUSE_FLOCK_LOCKS).
 *
 * The server knows owners by numbers: a kernel's pointers, hashed with a key that it does not
 * learn. close(2) gives POSIX locks back by FLUSH, RELEASE a file's flocks. A wait that is
 * interrupted goes to the server as INTERRUPT; one that is killed leaves, and what is granted then
 * goes with the close that follows.
 */
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/random.h>
#include <linux/siphash.h>

#include "compat/lock.h"
#include "data.h"

/* A lock of an open file description belongs to whoever has that: fcntl(2) says -1. */
#define OF_NO_PROCESS ((u32)-1)

u64 cw_lock_owner(struct cw_conn *c, fl_owner_t id)
{
	static siphash_key_t key __read_mostly;

	get_random_once(&key, sizeof(key));
	return siphash_2u64((u64)(unsigned long)id, (u64)(unsigned long)c, &key);
}

static void fill(struct fuse_lk_in *in, struct cw_conn *c, struct cw_file *f,
		 const struct file_lock *fl, u32 pid, u32 flags)
{
	*in = (struct fuse_lk_in){
		.fh = READ_ONCE(f->fh),
		.owner = cw_lock_owner(c, cw_fl(fl, owner)),
		.lk.start = fl->fl_start,
		.lk.end = fl->fl_end,
		.lk.type = cw_fl(fl, type),
		.lk.pid = pid,
		.lk_flags = flags,
	};
}

/* Of no process, ours, or a number of another system, which nobody knows here. */
static pid_t pid_here(u32 pid)
{
	pid_t nr;

	if (pid == OF_NO_PROCESS)
		return -1;
	rcu_read_lock();
	nr = pid_nr(find_pid_ns((pid_t)pid, &init_pid_ns));
	rcu_read_unlock();
	return nr;
}

/* What the server says is in the way. */
static int take(struct file_lock *fl, const struct fuse_file_lock *lk)
{
	switch (lk->type) {
	case F_UNLCK:
		break;
	case F_RDLCK:
	case F_WRLCK:
		if (lk->start > OFFSET_MAX || lk->end > OFFSET_MAX || lk->end < lk->start)
			return -EIO;
		fl->fl_start = lk->start;
		fl->fl_end = lk->end;
		cw_fl(fl, pid) = pid_here(lk->pid);
		break;
	default:
		return -EIO;
	}
	cw_fl(fl, type) = lk->type;
	return 0;
}

static int get(struct file *file, struct file_lock *fl)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	struct fuse_lk_out out = {};
	struct fuse_lk_in in;
	int err = cw_file_handle(CW_F(file));

	if (err)
		return err;
	fill(&in, c, CW_F(file), fl, 0, 0);
	err = cw_simple(c, FUSE_GETLK, CW_I(inode)->nodeid, &in, sizeof(in), NULL, &out,
			sizeof(out), NULL);
	return err < 0 ? err : take(fl, &out.lk);
}

static int set(struct file *file, struct file_lock *fl, bool flock)
{
	struct inode *inode = file_inode(file);
	struct cw_conn *c = cw_conn_of(inode);
	const bool waits = cw_fl(fl, flags) & FL_SLEEP;
	const u32 pid = cw_fl(fl, type) == F_UNLCK ? 0 :
			cw_fl(fl, flags) & FL_OFDLCK ? OF_NO_PROCESS :
			task_tgid_nr(current);
	struct fuse_lk_in in;
	int err;

	/* Locks of the kernel's own lock manager (NFS) would be asked for again and again. */
	if (fl->fl_lmops && fl->fl_lmops->lm_grant)
		return -ENOLCK;
	err = cw_file_handle(CW_F(file));
	if (err)
		return err;
	/* POSIX locks go when any file of the inode is closed. */
	if ((cw_fl(fl, flags) & FL_CLOSE_POSIX) == FL_CLOSE_POSIX)
		return 0;
	if (!flock)
		set_bit(CW_I_POSIX_LOCKS, &CW_I(inode)->state);
	fill(&in, c, CW_F(file), fl, pid, flock ? FUSE_LK_FLOCK : 0);
	err = cw_simple(c, waits ? FUSE_SETLKW : FUSE_SETLK, CW_I(inode)->nodeid, &in, sizeof(in),
			NULL, NULL, 0, NULL);
	return err == -EINTR ? -ERESTARTSYS : min(err, 0);
}

int cw_lock(struct file *file, int cmd, struct file_lock *fl)
{
	struct cw_conn *c = cw_conn_of(file_inode(file));

	if (cw_is_bad(file_inode(file)))
		return -EIO;
	if (cmd == F_CANCELLK)
		return 0;
	if (c->flags & FUSE_POSIX_LOCKS)
		return cmd == F_GETLK ? get(file, fl) : set(file, fl, false);
	if (cmd == F_GETLK) {
		posix_test_lock(file, fl);
		return 0;
	}
	return posix_lock_file(file, fl, NULL);
}

int cw_flock(struct file *file, int cmd, struct file_lock *fl)
{
	struct cw_conn *c = cw_conn_of(file_inode(file));
	struct cw_file *f = CW_F(file);

	if (!(c->flags & FUSE_FLOCK_LOCKS))
		return locks_lock_file_wait(file, fl);
	/* Unlocking what was never locked would open a file only to say so. */
	if (!f->flocked && cw_fl(fl, type) == F_UNLCK)
		return 0;
	f->flocked = true;
	f->owner = cw_lock_owner(c, cw_fl(fl, owner));
	return set(file, fl, true);
}
