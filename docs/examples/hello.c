// SPDX-License-Identifier: BSD-2-Clause
// Lists the root of a virtio-fs export, and writes a greeting into it: hello SOCKET
// cc hello.c $(pkg-config --cflags --libs causeway)
#include <causeway.h>
#include <fcntl.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct causeway *c = causeway_new();
	struct causeway_file *dir = NULL, *file = NULL;
	struct causeway_dirent entry;
	const char text[] = "hello, host\n";
	int failed = 1;

	if (argc == 2 && causeway_connect(c, argv[1]) == 0 &&
		causeway_open(c, NULL, "/", O_RDONLY | O_DIRECTORY, 0, &dir) == 0) {
		while (causeway_readdir(dir, &entry) == 1)
			printf("%s\n", entry.name);
		failed = causeway_open(c, dir, "greeting", O_WRONLY | O_CREAT, 0644, &file) < 0 ||
			causeway_pwrite(file, text, sizeof(text) - 1, 0) < 0 ||
			causeway_close(file) < 0;
	}
	if (failed)
		fprintf(stderr, "hello: %s\n", causeway_error(c));
	causeway_close(dir);
	causeway_free(c);
	return failed;
}
