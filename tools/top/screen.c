// SPDX-License-Identifier: BSD-2-Clause
//
// The terminal, while a view is redrawn in it: its other screen, no cursor, keys without Enter. All
// of that is taken back when it ends, by whatever.

#include "top.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define LINE_END "\033[K"
#define REST_END "\033[J"

struct screen {
	bool keys; // standard input is a terminal, too
	struct termios before;
	int signals[2]; // a pipe that they are written into
};

static int signal_fd = -1;

static void on_signal(int sig)
{
	const int saved = errno;
	const char c = (char)sig;

	if (write(signal_fd, &c, 1) < 0) {
		// It is full of others.
	}
	errno = saved;
}

static void take_signals(struct screen *s)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
	const struct sigaction action = {.sa_handler = on_signal};

	signal_fd = s->signals[1];
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaction(taken[i], &action, NULL);
}

static void put(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			return;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

struct screen *screen_open(void)
{
	struct screen *s;
	struct termios raw;

	if (!isatty(STDOUT_FILENO))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s || pipe2(s->signals, O_CLOEXEC | O_NONBLOCK)) {
		free(s);
		return NULL;
	}
	take_signals(s);
	s->keys = !tcgetattr(STDIN_FILENO, &s->before);
	if (s->keys) {
		raw = s->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	put(ENTER, strlen(ENTER));
	return s;
}

void screen_close(struct screen *s)
{
	if (!s)
		return;
	put(LEAVE, strlen(LEAVE));
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	close(s->signals[0]);
	close(s->signals[1]);
	free(s);
}

// Bytes of a line of text that so many columns show. Columns are characters of UTF-8.
static size_t clip(const char *line, size_t len, unsigned int columns)
{
	size_t i = 0;

	for (; i < len; i++)
		if ((line[i] & 0xc0) != 0x80 && !columns--)
			break;
	return i;
}

void screen_draw(struct screen *s, const char *text)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	if (!f)
		return;
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	fputs(HOME, f);
	// The last row stays empty: a line that fills it would scroll.
	for (unsigned int row = 1; *text && row < size.ws_row; row++) {
		size_t len = strcspn(text, "\n");

		fwrite(text, 1, clip(text, len, size.ws_col), f);
		fputs(LINE_END "\r\n", f);
		text += len + (text[len] == '\n');
	}
	fputs(REST_END, f);
	if (!fclose(f))
		put(out, n);
	free(out);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

// Whether a byte of the pipe, or a key, says that it is time to end.
static bool says_end(int fd, bool key)
{
	char c;
	ssize_t n = read(fd, &c, 1);

	// A terminal that is gone is there to read for ever.
	if (key && n <= 0)
		return n == 0 || (errno != EINTR && errno != EAGAIN);
	if (key)
		return c == 'q' || c == 'Q';
	return n > 0 && c != SIGWINCH;
}

bool screen_wait(struct screen *s, double seconds)
{
	const double end = now() + seconds;
	struct pollfd fds[2] = {
		{.fd = s->signals[0], .events = POLLIN},
		{.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN},
	};

	for (;;) {
		double left = end - now();

		if (left <= 0)
			return true;
		if (poll(fds, 2, (int)(left * 1e3) + 1) < 0)
			continue;
		if (fds[0].revents && says_end(fds[0].fd, false))
			return false;
		if (fds[1].revents && says_end(fds[1].fd, true))
			return false;
		if (fds[0].revents)
			return true;
	}
}
