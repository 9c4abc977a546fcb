// SPDX-License-Identifier: BSD-2-Clause
#include "fuse/sleep.h"

#include <errno.h>

#include "base/log.h"
#include "proto/causeway_wire.h"

static int fall_asleep_or_wake(struct fuse_req *req)
{
	const struct cw_sleep_in *in = req->args;
	struct fuse_session *se = req->se;

	if (!atomic_load(&se->sleeps))
		return -ENOSYS;
	if (in->asleep > 1 || in->zero)
		return -EINVAL;
	atomic_store(&se->asleep, in->asleep);
	log_debug("the guest %s", in->asleep ? "falls asleep" : "is awake");
	return 0;
}

const struct fuse_op sleep_op = {
	.name = "CW_SLEEP",
	.handle = fall_asleep_or_wake,
	.fixed = sizeof(struct cw_sleep_in),
};
