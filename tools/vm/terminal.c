// SPDX-License-Identifier: BSD-2-Clause
//
// The host's terminal, while the guest's terminal stands behind it.

#include "vm.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool raw;

bool terminal_foreground(void)
{
	return isatty(0) && tcgetpgrp(0) == getpgrp();
}

void terminal_restore(void)
{
	if (raw)
		tcsetattr(0, TCSADRAIN, &before);
	raw = say_to_raw_terminal = false;
}

void terminal_raw(void)
{
	static bool registered;
	struct termios t;

	if (raw || !terminal_foreground() || tcgetattr(0, &before))
		return;
	if (!registered)
		atexit(terminal_restore);
	registered = true;
	t = before;
	cfmakeraw(&t);
	raw = say_to_raw_terminal = !tcsetattr(0, TCSADRAIN, &t);
}

void terminal_size(uint16_t ws[4])
{
	struct winsize w = {.ws_row = 24, .ws_col = 80};

	if (ioctl(1, TIOCGWINSZ, &w) && ioctl(0, TIOCGWINSZ, &w)) {
		// The usual size then.
	}
	ws[0] = w.ws_row;
	ws[1] = w.ws_col;
	ws[2] = w.ws_xpixel;
	ws[3] = w.ws_ypixel;
}
