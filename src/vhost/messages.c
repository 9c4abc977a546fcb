// SPDX-License-Identifier: BSD-2-Clause
/*
 * The messages of a front-end: one table, one small handler each.
 *
 * Those that set up a single ring are in vrings.c, those that reset the device in reset.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "vhost/handlers.h"

#define OFFERED_FEATURES                                                                           \
	((1ull << VIRTIO_F_VERSION_1_BIT) | (1ull << VIRTIO_F_INDIRECT_DESC_BIT) |                 \
		(1ull << VIRTIO_F_EVENT_IDX_BIT) | (1ull << VIRTIO_F_RING_PACKED_BIT) |            \
		(1ull << VU_F_PROTOCOL_FEATURES_BIT))

static uint64_t offered_features(const struct vhost_backend *dev)
{
	uint64_t without = dev->device->no_event_idx ? 1ull << VIRTIO_F_EVENT_IDX_BIT : 0;

	return (OFFERED_FEATURES | dev->device->features) & ~without;
}

/* How many regions of shared memory there are, counting those that are left out before others. */
static unsigned int shmem_regions(const struct vhost_backend *dev)
{
	unsigned int n = VHOST_SHMEM_REGIONS;

	while (n > 0 && !dev->device->shmem_sizes[n - 1])
		n--;
	return n;
}

static uint64_t offered_protocol_features(const struct vhost_backend *dev)
{
	return VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ |
		VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS | VU_PROTOCOL_F_RESET_DEVICE |
		VU_PROTOCOL_F_STATUS |
		(dev->device->config ? VU_PROTOCOL_F_CONFIG : 0) |
		(shmem_regions(dev) ? VHOST_SHMEM_FEATURES : 0);
}

int vhost_bad(struct vhost_backend *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(dev->why, sizeof(dev->why), fmt, ap);
	va_end(ap);
	return -EPROTO;
}

static int reply_u64(struct vu_msg *msg, uint64_t value)
{
	msg->body.u64 = value;
	return sizeof(uint64_t);
}

static int get_features(struct vhost_backend *dev, struct vu_msg *msg)
{
	return reply_u64(msg, offered_features(dev));
}

static void apply_features(struct vhost_queue *q, uint64_t features)
{
	bool packed = features & (1ull << VIRTIO_F_RING_PACKED_BIT);

	/* From here on the format is known: what SET_VRING_BASE says depends on it. */
	if (packed != q->vq.packed) {
		vhost_queue_stop(q);
		virtq_set_packed(&q->vq, packed);
	}
	/* Without the protocol features there is no SET_VRING_ENABLE: rings start enabled. */
	if (!(features & (1ull << VU_F_PROTOCOL_FEATURES_BIT)))
		q->enabled = true;
}

static int set_features(struct vhost_backend *dev, struct vu_msg *msg)
{
	uint64_t extra = msg->body.u64 & ~offered_features(dev);

	if (extra)
		return vhost_bad(dev, "features %#llx were not offered", (unsigned long long)extra);
	dev->features = msg->body.u64;
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++)
		apply_features(&dev->queues[i], dev->features);
	return 0;
}

static int set_owner(struct vhost_backend *dev, struct vu_msg *msg)
{
	return 0;
}

static int reset_owner(struct vhost_backend *dev, struct vu_msg *msg)
{
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++)
		vhost_queue_reset(&dev->queues[i]);
	dev->features = 0;
	return 0;
}

static int get_protocol_features(struct vhost_backend *dev, struct vu_msg *msg)
{
	return reply_u64(msg, offered_protocol_features(dev));
}

static int set_protocol_features(struct vhost_backend *dev, struct vu_msg *msg)
{
	uint64_t extra = msg->body.u64 & ~offered_protocol_features(dev);

	if (extra)
		return vhost_bad(dev, "protocol features %#llx were not offered",
			(unsigned long long)extra);
	dev->protocol_features = msg->body.u64;
	return 0;
}

static int get_queue_num(struct vhost_backend *dev, struct vu_msg *msg)
{
	return reply_u64(msg, VHOST_QUEUES_MAX);
}

static int get_max_mem_slots(struct vhost_backend *dev, struct vu_msg *msg)
{
	return reply_u64(msg, MEM_REGIONS_MAX);
}

static struct mem_region_desc region_desc(const struct vu_mem_region *r)
{
	return (struct mem_region_desc){
		.gpa = r->gpa, .size = r->size, .uva = r->uva, .offset = r->offset};
}

/* After memory changed, with the gates closed: rings may be elsewhere now, or nowhere. */
static void resolve_running(struct vhost_backend *dev)
{
	for (unsigned int i = 0; i < VHOST_QUEUES_MAX; i++) {
		if (dev->queues[i].running && dev->queues[i].vq.resolved)
			virtq_resolve(&dev->queues[i].vq);
	}
}

/* A region that cannot be is the front-end's mistake; a lack of means is not. */
static int region_result(struct vhost_backend *dev, int r)
{
	switch (r) {
	case -EINVAL:
		return vhost_bad(dev, "a region is empty, overlaps, or ends beyond its file");
	case -ENOSPC:
		return vhost_bad(dev, "more than %d regions", MEM_REGIONS_MAX);
	case -ENOENT:
		return vhost_bad(dev, "there is no such region");
	default:
		return r;
	}
}

static int set_mem_table(struct vhost_backend *dev, struct vu_msg *msg)
{
	const struct vu_mem_table *table = &msg->body.mem;
	struct mem_region_desc descs[VU_MEM_TABLE_MAX];
	int r;

	if (msg->head.size < offsetof(struct vu_mem_table, regions) ||
		table->nregions > VU_MEM_TABLE_MAX ||
		msg->head.size != offsetof(struct vu_mem_table, regions) +
				table->nregions * sizeof(table->regions[0]))
		return vhost_bad(dev, "%u bytes do not hold the regions", msg->head.size);
	if (msg->nfds != table->nregions)
		return vhost_bad(dev, "%u regions with %u descriptors", table->nregions, msg->nfds);
	for (uint32_t i = 0; i < table->nregions; i++)
		descs[i] = region_desc(&table->regions[i]);
	mem_close_gates(&dev->mem);
	r = mem_replace(&dev->mem, descs, msg->fds, table->nregions);
	resolve_running(dev);
	mem_open_gates(&dev->mem);
	return region_result(dev, r);
}

static int add_mem_reg(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct mem_region_desc desc = region_desc(&msg->body.reg.region);
	int r;

	mem_close_gates(&dev->mem);
	r = mem_add(&dev->mem, &desc, msg->fds[0]);
	mem_open_gates(&dev->mem);
	return region_result(dev, r);
}

static int rem_mem_reg(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct mem_region_desc desc = region_desc(&msg->body.reg.region);
	int r;

	mem_close_gates(&dev->mem);
	r = mem_remove(&dev->mem, &desc);
	resolve_running(dev);
	mem_open_gates(&dev->mem);
	return region_result(dev, r);
}

static int set_backend_req_fd(struct vhost_backend *dev, struct vu_msg *msg)
{
	return vhost_shmem_channel(dev, vu_msg_take_fd(msg, 0));
}

static int get_shmem_config(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct vu_shmem_config *config = &msg->body.shmem_config;

	*config = (struct vu_shmem_config){.nregions = shmem_regions(dev)};
	for (unsigned int i = 0; i < config->nregions; i++)
		config->sizes[i] = dev->device->shmem_sizes[i];
	return sizeof(msg->body.shmem_config);
}

static int get_config(struct vhost_backend *dev, struct vu_msg *msg)
{
	struct vu_config *config = &msg->body.config;

	if (msg->head.size < VU_CONFIG_HEAD || msg->head.size - VU_CONFIG_HEAD != config->size)
		return vhost_bad(dev, "%u bytes do not hold what it asks for", msg->head.size);
	/* An answer without payload is how this message says no. */
	if (config->offset > dev->device->config_size ||
		config->size > dev->device->config_size - config->offset)
		return VHOST_EMPTY_REPLY;
	memcpy(config->data, (const char *)dev->device->config + config->offset, config->size);
	return (int)(VU_CONFIG_HEAD + config->size);
}

enum body { NONE, U64, STATE, ADDR, REG, MEM, CONFIG };

/* Bytes of each kind of body; 0 where the handler checks it. */
static const uint32_t body_size[] = {
	[U64] = sizeof(uint64_t),
	[STATE] = sizeof(struct vu_vring_state),
	[ADDR] = sizeof(struct vu_vring_addr),
	[REG] = sizeof(struct vu_mem_reg),
};

static const struct vu_type {
	const char *name;
	enum body body;
	unsigned int fds_min, fds_max;
	uint64_t needs; /* a protocol feature */
	int (*handle)(struct vhost_backend *dev, struct vu_msg *msg);
} types[VU_REQUEST_MAX] = {
	/* clang-format off */
	[VU_GET_FEATURES]          = {"GET_FEATURES", NONE, 0, 0, 0, get_features},
	[VU_SET_FEATURES]          = {"SET_FEATURES", U64, 0, 0, 0, set_features},
	[VU_SET_OWNER]             = {"SET_OWNER", NONE, 0, 0, 0, set_owner},
	[VU_RESET_OWNER]           = {"RESET_OWNER", NONE, 0, 0, 0, reset_owner},
	[VU_SET_MEM_TABLE]         = {"SET_MEM_TABLE", MEM, 0, VU_MEM_TABLE_MAX, 0, set_mem_table},
	[VU_SET_VRING_NUM]         = {"SET_VRING_NUM", STATE, 0, 0, 0, vhost_set_vring_num},
	[VU_SET_VRING_ADDR]        = {"SET_VRING_ADDR", ADDR, 0, 0, 0, vhost_set_vring_addr},
	[VU_SET_VRING_BASE]        = {"SET_VRING_BASE", STATE, 0, 0, 0, vhost_set_vring_base},
	[VU_GET_VRING_BASE]        = {"GET_VRING_BASE", STATE, 0, 0, 0, vhost_get_vring_base},
	[VU_SET_VRING_KICK]        = {"SET_VRING_KICK", U64, 0, 1, 0, vhost_set_vring_kick},
	[VU_SET_VRING_CALL]        = {"SET_VRING_CALL", U64, 0, 1, 0, vhost_set_vring_call},
	[VU_SET_VRING_ERR]         = {"SET_VRING_ERR", U64, 0, 1, 0, vhost_set_vring_err},
	[VU_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", NONE, 0, 0, 0, get_protocol_features},
	[VU_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", U64, 0, 0, 0, set_protocol_features},
	[VU_GET_QUEUE_NUM]         = {"GET_QUEUE_NUM", NONE, 0, 0, VU_PROTOCOL_F_MQ, get_queue_num},
	[VU_SET_VRING_ENABLE]      = {"SET_VRING_ENABLE", STATE, 0, 0, 0, vhost_set_vring_enable},
	[VU_SET_BACKEND_REQ_FD]    = {"SET_BACKEND_REQ_FD", NONE, 1, 1, VU_PROTOCOL_F_BACKEND_REQ,
				      set_backend_req_fd},
	[VU_GET_CONFIG]            = {"GET_CONFIG", CONFIG, 0, 0, VU_PROTOCOL_F_CONFIG, get_config},
	[VU_GET_MAX_MEM_SLOTS]     = {"GET_MAX_MEM_SLOTS", NONE, 0, 0,
				      VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS, get_max_mem_slots},
	[VU_ADD_MEM_REG]           = {"ADD_MEM_REG", REG, 1, 1, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
				      add_mem_reg},
	/* Some front-ends pass the region's descriptor again. */
	[VU_REM_MEM_REG]           = {"REM_MEM_REG", REG, 0, 1, VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
				      rem_mem_reg},
	[VU_RESET_DEVICE]          = {"RESET_DEVICE", NONE, 0, 0, VU_PROTOCOL_F_RESET_DEVICE,
				      vhost_reset_device},
	[VU_SET_STATUS]            = {"SET_STATUS", U64, 0, 0, VU_PROTOCOL_F_STATUS,
				      vhost_set_status},
	[VU_GET_STATUS]            = {"GET_STATUS", NONE, 0, 0, VU_PROTOCOL_F_STATUS,
				      vhost_get_status},
	[VU_GET_SHMEM_CONFIG]      = {"GET_SHMEM_CONFIG", NONE, 0, 0, VU_PROTOCOL_F_SHMEM,
				      get_shmem_config},
	/* clang-format on */
};

static void print_message(const struct vu_type *type, const struct vu_msg *msg)
{
	const union vu_payload *b = &msg->body;
	char text[160] = "";

	switch (type->body) {
	case U64:
		snprintf(text, sizeof(text), " %#llx", (unsigned long long)b->u64);
		break;
	case STATE:
		snprintf(text, sizeof(text), " ring %u num %u", b->state.index, b->state.num);
		break;
	case ADDR:
		snprintf(text, sizeof(text), " ring %u desc %#llx avail %#llx used %#llx",
			b->addr.index, (unsigned long long)b->addr.desc,
			(unsigned long long)b->addr.avail, (unsigned long long)b->addr.used);
		break;
	case REG:
		snprintf(text, sizeof(text), " gpa %#llx size %#llx",
			(unsigned long long)b->reg.region.gpa,
			(unsigned long long)b->reg.region.size);
		break;
	case MEM:
		snprintf(text, sizeof(text), " %u regions", b->mem.nregions);
		break;
	case CONFIG:
		snprintf(text, sizeof(text), " offset %u size %u", b->config.offset,
			b->config.size);
		break;
	case NONE:
		break;
	}
	log_debug("front-end: %s%s, %u descriptors", type->name, text, msg->nfds);
}

/* Checks what the table says of a message and carries it out. */
static int run_message(struct vhost_backend *dev, const struct vu_type *type, struct vu_msg *msg)
{
	if (type->body != MEM && type->body != CONFIG && msg->head.size != body_size[type->body])
		return vhost_bad(dev, "%u bytes of payload where %u belong", msg->head.size,
			body_size[type->body]);
	if (msg->nfds < type->fds_min || msg->nfds > type->fds_max)
		return vhost_bad(dev, "%u descriptors", msg->nfds);
	if ((type->needs & dev->protocol_features) != type->needs)
		return vhost_bad(dev, "its protocol feature was not negotiated");
	if (log_threshold >= LOG_DEBUG)
		print_message(type, msg);
	return type->handle(dev, msg);
}

int vhost_handle(struct vhost_backend *dev, struct vu_msg *msg)
{
	const struct vu_type *type =
		msg->head.request < VU_REQUEST_MAX ? &types[msg->head.request] : NULL;
	bool ack = (msg->head.flags & VU_FLAG_NEED_REPLY) &&
		(dev->protocol_features & VU_PROTOCOL_F_REPLY_ACK);
	int r;

	if (!type || !type->handle) {
		log_error("the front-end sent an unknown vhost-user message, %u",
			msg->head.request);
		return -EPROTO;
	}
	r = run_message(dev, type, msg);
	/* Before the answer: a front-end that has it may believe that we ask for nothing. */
	vhost_shmem_settle(dev);
	if (r == -EPROTO || (r < 0 && !ack)) {
		log_error("the front-end sent a bad %s: %s", type->name,
			r == -EPROTO ? dev->why : strerror(-r));
		return r;
	}
	if (r > 0)
		return vu_msg_reply(dev->sock, msg, r == VHOST_EMPTY_REPLY ? 0 : (uint32_t)r);
	if (!ack)
		return 0;
	return vu_msg_reply(dev->sock, msg, (uint32_t)reply_u64(msg, r < 0));
}
