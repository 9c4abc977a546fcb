// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "sysfs.h"

#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "conn.h"
#include "main.h"

static struct kobject *root;

static struct cw_conn *conn_of(struct kobject *kobj)
{
	return container_of(kobj, struct cw_conn, kobj);
}

static ssize_t requests_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n", atomic64_read(&conn_of(kobj)->sent));
}

static ssize_t requests_by_opcode_show(struct kobject *kobj, struct kobj_attribute *attr,
				       char *buf)
{
	int at = 0, i;

	for (i = 0; i < FUSE_OPCODE_MAX; i++) {
		s64 n = atomic64_read(&conn_of(kobj)->sent_by_op[i]);

		if (n)
			at += sysfs_emit_at(buf, at, "%d %lld\n", i, n);
	}
	return at;
}

static ssize_t waiting_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&conn_of(kobj)->waiting));
}

static ssize_t abort_store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
			   size_t len)
{
	cw_conn_abort(conn_of(kobj));
	return len;
}

static struct kobj_attribute requests = __ATTR_RO(requests);
static struct kobj_attribute requests_by_opcode = __ATTR_RO(requests_by_opcode);
static struct kobj_attribute waiting = __ATTR_RO(waiting);
static struct kobj_attribute abort_attr = __ATTR_WO(abort);

static struct attribute *conn_attrs[] = {
	&requests.attr,
	&requests_by_opcode.attr,
	&waiting.attr,
	&abort_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(conn);

static void conn_release(struct kobject *kobj)
{
	complete(&conn_of(kobj)->kobj_gone);
}

static const struct kobj_type conn_type = {
	.release = conn_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = conn_groups,
};

int cw_sysfs_add(struct cw_conn *c)
{
	int r = kobject_init_and_add(&c->kobj, &conn_type, root, "%s", cw_dev_tag(c->dev));

	if (r < 0)
		cw_sysfs_remove(c);
	return r;
}

void cw_sysfs_remove(struct cw_conn *c)
{
	kobject_put(&c->kobj);
	wait_for_completion(&c->kobj_gone);
}

int cw_sysfs_create(void)
{
	root = kobject_create_and_add("causeway", fs_kobj);
	return root ? 0 : -ENOMEM;
}

void cw_sysfs_destroy(void)
{
	kobject_put(root);
}
