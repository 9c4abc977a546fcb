// SPDX-License-Identifier: BSD-2-Clause
#include "client/fault.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "base/util.h"

#define PAGE 4096u

/* A copy that is being made, of a thread. */
struct copy {
	sigjmp_buf back;
	const char *shared;
	size_t len;
};

/* Read by the handler: a model of storage that never has to be made first. */
static __thread struct copy *volatile copying __attribute__((tls_model("initial-exec")));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int users;
static struct sigaction before;

static void on_sigbus(int signal_nr, siginfo_t *info, void *context)
{
	struct copy *copy = copying;
	const char *at = info->si_addr;

	if (copy && at >= copy->shared && at < copy->shared + copy->len) {
		copying = NULL;
		/* Who jumps out of a handler leaves the signals blocked that it was to block. */
		pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
		siglongjmp(copy->back, 1);
	}
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(signal_nr, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(signal_nr);
	else
		/* The access is repeated without a handler. */
		signal(signal_nr, SIG_DFL);
}

int fault_begin(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int r = 0;

	pthread_mutex_lock(&lock);
	if (users == 0)
		r = neg_errno(sigaction(SIGBUS, &action, &before));
	users += r == 0;
	pthread_mutex_unlock(&lock);
	return r;
}

void fault_end(void)
{
	struct sigaction now;

	pthread_mutex_lock(&lock);
	/* What the program has set since then stays. */
	if (--users == 0 && sigaction(SIGBUS, NULL, &now) == 0 &&
		(now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		sigaction(SIGBUS, &before, NULL);
	pthread_mutex_unlock(&lock);
}

/* By pages where there are some: of a length that it knows the compiler makes a copy by words,
 * which on some processors takes half the time of the C library's, for any length. */
static __attribute__((noinline)) void copy_by_pages(char *to, const char *from, size_t len)
{
	for (; len >= PAGE; len -= PAGE) {
		memcpy(to, from, PAGE);
		to += PAGE;
		from += PAGE;
	}
	memcpy(to, from, len);
}

bool fault_copy(void *to, const void *from, size_t len, const void *shared)
{
	struct copy copy;

	copy.shared = shared;
	copy.len = len;
	if (sigsetjmp(copy.back, 0))
		return false;
	copying = &copy;
	copy_by_pages(to, from, len);
	copying = NULL;
	return true;
}
