// SPDX-License-Identifier: BSD-2-Clause
/* CW_SLEEP: which resets of the device a session survives. */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "fuse_client.h"
#include "proto/causeway_wire.h"

#define ROOM 4096

static struct fuse_client c;

static int setup(void **state)
{
	struct fuse_config config = fc_config("auto");

	log_open("test", LOG_OFF);
	fc_open(&c, fc_recorder(), &config);
	fc_init(&c);
	fc_calls();
	return 0;
}

static int teardown(void **state)
{
	fc_close(&c);
	return 0;
}

static uint32_t agree(uint32_t extensions)
{
	const struct cw_hello_in in = {.wire = CW_WIRE, .extensions = extensions};
	struct cw_hello_out out;

	assert_int_equal(fc_send(&c, CW_HELLO, &in, sizeof(in), ROOM), sizeof(out));
	memcpy(&out, c.payload, sizeof(out));
	return out.extensions;
}

static int say(uint32_t asleep)
{
	const struct cw_sleep_in in = {.asleep = asleep};

	return fc_send(&c, CW_SLEEP, &in, sizeof(in), ROOM);
}

/* Whether the session has survived what was done; it drops all it had once, or nothing. */
static bool lives(void)
{
	const struct fuse_getattr_in in = {0};
	bool dropped = !strcmp(fc_calls(), "reset;");
	int r = fc_send(&c, FUSE_GETATTR, &in, sizeof(in), ROOM);

	fc_calls();
	assert_int_equal(r, dropped ? -EIO : (int)sizeof(struct fuse_attr_out));
	return !dropped;
}

static bool survives_reset(void)
{
	fuse_session_device_reset(&c.se);
	return lives();
}

static void test_asleep_only(void **state)
{
	assert_int_equal(agree(CW_EXT_SLEEP), CW_EXT_SLEEP);
	assert_int_equal(say(1), 0);
	assert_true(survives_reset());
	assert_true(survives_reset());
	assert_int_equal(say(0), 0);
	assert_false(survives_reset());
	assert_int_equal(say(1), -EIO);
	assert_false(survives_reset());
}

static void test_agreement(void **state)
{
	assert_int_equal(say(1), -ENOSYS);
	assert_int_equal(agree(0), 0);
	assert_int_equal(say(1), -ENOSYS);
	assert_int_equal(agree(UINT32_MAX & ~CW_EXT_PINS), CW_EXT_SLEEP);
	assert_int_equal(say(2), -EINVAL);
	assert_false(survives_reset());
	/* What was agreed has gone as well. */
	fc_init(&c);
	fc_calls();
	assert_int_equal(say(1), -ENOSYS);
}

/* Whoever is not the guest that fell asleep is not taken for it. */
static void test_others(void **state)
{
	agree(CW_EXT_SLEEP);
	assert_int_equal(say(1), 0);
	fc_init(&c);
	assert_string_equal(fc_calls(), "reset;");
	assert_false(survives_reset());

	fc_init(&c);
	agree(CW_EXT_SLEEP);
	assert_int_equal(say(1), 0);
	fc_calls();
	assert_int_equal(fc_send(&c, FUSE_DESTROY, "", 0, ROOM), 0);
	assert_false(lives());
	assert_false(survives_reset());

	/* The front-end has gone. */
	fc_init(&c);
	agree(CW_EXT_SLEEP);
	assert_int_equal(say(1), 0);
	fc_calls();
	fuse_session_reset(&c.se);
	assert_false(lives());
	assert_false(survives_reset());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_asleep_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_agreement, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
