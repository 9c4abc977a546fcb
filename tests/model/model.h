/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the models share: words as in proto/version_table.h, with three bits of marks instead of
 * 16, and the two tools of their own proof.
 *
 * -DRULE builds a model without a rule: the line `without RULE` at its head says what that breaks,
 * and spin.py demands that the run fails. reached(place) says that a run came by: a model in which
 * nobody ever trusts what is cached would keep every promise.
 */
#define BEGIN         1
#define VERSION       8
#define END           (VERSION - BEGIN)
#define in_flight(w)  ((w) & (VERSION - 1))
#define quiet(w)      (in_flight(w) == 0)
#define settled(w)    ((w) + in_flight(w) * END)
#define alone(was, is) (quiet(was) && (is) == (was) + VERSION)

/* Told once in a run; no part of the state. */
#define reached(place) \
	c_code { static char told; if (!told) { told = 1; printf("reached %s\n", #place); } }

#define max(a, b) ((a) > (b) -> (a) : (b))
