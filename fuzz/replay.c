// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stands in for libFuzzer where a fuzzer is built without it: runs each file, and each file of
 * each directory, that the command line names, once.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned int inputs;

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0;

	if (!f) {
		perror(path);
		exit(1);
	}
	for (;;) {
		uint8_t chunk[4096];
		size_t n = fread(chunk, 1, sizeof(chunk), f);

		if (n == 0)
			break;
		data = realloc(data, size + n);
		must(data);
		memcpy(data + size, chunk, n);
		size += n;
	}
	fclose(f);
	/* The name is on the screen when the input brings us down. */
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	inputs++;
}

static void replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;

	if (!dir) {
		replay_file(path);
		return;
	}
	while ((d = readdir(dir))) {
		char file[4096];

		if (d->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
		replay(file);
	}
	closedir(dir);
}

int main(int argc, char **argv)
{
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%u inputs\n", inputs);
	return inputs > 0 ? 0 : 1;
}
