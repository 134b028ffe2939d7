#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

/* Feeds each file named, and each in the folders named, to a fuzz target: what
 * was found once stays found, in the ordinary test run, without libFuzzer. */

static size_t replayed;

static void replay_file(const char *path, size_t len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = malloc(len ? len : 1);

	/* Exactly `len` bytes, so that a sanitizer sees an over-read. */
	if (!f || !bytes || fread(bytes, 1, len, f) != len) {
		perror(path);
		exit(1);
	}
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	replayed++;
}

static void replay(const char *path)
{
	struct stat st;
	struct dirent **entries;

	if (stat(path, &st) != 0) {
		perror(path);
		exit(1);
	}
	if (S_ISREG(st.st_mode)) {
		replay_file(path, (size_t)st.st_size);
		return;
	}

	int count = scandir(path, &entries, NULL, alphasort);
	if (count < 0) {
		perror(path);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		char *inner = NULL;

		if (entries[i]->d_name[0] != '.') {
			if (asprintf(&inner, "%s/%s", path,
				    entries[i]->d_name) < 0)
				exit(1);
			replay(inner);
		}
		free(inner);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%zu inputs replayed\n", replayed);
	return replayed > 0 ? 0 : 1;
}
