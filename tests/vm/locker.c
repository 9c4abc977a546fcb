// SPDX-License-Identifier: BSD-2-Clause
/*
 * locker FILE: waits for a lock of the whole file, says "locked", and keeps it until its input
 * ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char c;
	int fd;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || fcntl(fd, F_SETLKW, &lock) < 0) {
		fprintf(stderr, "locker: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	puts("locked");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0) {
	}
	return 0;
}
