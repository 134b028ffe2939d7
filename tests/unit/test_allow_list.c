#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/digest.h"
#include "tests/unit/temp_folder.h"
#include "tracker/allow_list.h"

/* A torrent of that name in the current folder; returns its hash. */
static struct info_hash write_torrent(char name)
{
	struct info_hash hash;
	char info[200], path[20];

	snprintf(info, sizeof(info),
		"d6:lengthi1e4:name1:%c12:piece lengthi16384e"
		"6:pieces20:aaaaaaaaaaaaaaaaaaaae",
		name);
	digest_sha1(info, strlen(info), hash.bytes);
	snprintf(path, sizeof(path), "%c.torrent", name);
	FILE *file = fopen(path, "w");
	cr_assert(file);
	fprintf(file, "d4:info%se", info);
	fclose(file);
	return hash;
}

static bool count_down(void *cls)
{
	unsigned *left = cls;

	return *left > 0 && (*left)-- > 0;
}

Test(allow_list, a_folder_is_read_again)
{
	struct temp_folder t = temp_folder_make();
	struct info_hash a = write_torrent('a');
	struct error err = {""};
	struct allow_list *list = allow_list_create(NULL, 0, t.path, &err);

	cr_assert(list, "%s", err.text);
	struct info_hash b = write_torrent('b');
	cr_expect(allow_list_allows(list, &a));
	cr_expect_not(allow_list_allows(list, &b));
	remove("a.torrent");
	cr_expect(allow_list_reload(list, NULL, NULL, &err));
	cr_expect_not(allow_list_allows(list, &a));
	cr_expect(allow_list_allows(list, &b));
	allow_list_destroy(list);
	temp_folder_remove(&t);
}

Test(allow_list, a_reading_that_was_ended_early_changes_nothing)
{
	struct temp_folder t = temp_folder_make();
	struct info_hash a = write_torrent('a');
	struct error err = {""};
	struct allow_list *list = allow_list_create(NULL, 0, t.path, &err);

	cr_assert(list, "%s", err.text);
	struct info_hash b = write_torrent('b'), c = write_torrent('c');
	/* Three torrents, `.` and `..`, and the end. */
	for (unsigned enough = 0; enough < 6; enough++) {
		unsigned left = enough;

		cr_expect(allow_list_reload(list, count_down, &left, &err));
		cr_expect(allow_list_allows(list, &a));
		cr_expect_not(allow_list_allows(list, &b), "%u", enough);
		cr_expect_not(allow_list_allows(list, &c), "%u", enough);
	}
	unsigned left = 6;
	cr_expect(allow_list_reload(list, count_down, &left, &err));
	cr_expect(allow_list_allows(list, &c));
	allow_list_destroy(list);
	temp_folder_remove(&t);
}

Test(allow_list, a_folder_that_is_gone_leaves_the_list_alone)
{
	struct temp_folder t = temp_folder_make();
	struct info_hash a = write_torrent('a');
	struct error err = {""};
	struct allow_list *list = allow_list_create(NULL, 0, t.path, &err);

	cr_assert(list, "%s", err.text);
	temp_folder_remove(&t);
	cr_expect_not(allow_list_reload(list, NULL, NULL, &err));
	cr_expect(strstr(err.text, t.path));
	cr_expect(allow_list_allows(list, &a));
	allow_list_destroy(list);
}

/* Puts what is no folder in the place of the one that is being read. */
static bool take_folder_away(void *cls)
{
	const int *folder = cls;
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert(other >= 0);
	if (other != *folder)
		cr_assert_eq(dup2(other, *folder), *folder);
	close(other);
	return true;
}

/* The descriptor that is opened next. */
static int next_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert(fd >= 0);
	close(fd);
	return fd;
}

Test(allow_list, a_folder_that_fails_midway_leaves_the_list_alone)
{
	struct temp_folder t = temp_folder_make();
	struct info_hash a = write_torrent('a');
	struct error err = {""};
	struct allow_list *list = allow_list_create(NULL, 0, t.path, &err);
	int folder = next_descriptor();

	cr_assert(list, "%s", err.text);
	struct info_hash b = write_torrent('b');
	cr_expect_not(allow_list_reload(list, take_folder_away, &folder, &err));
	cr_expect(strstr(err.text, t.path));
	cr_expect(allow_list_allows(list, &a));
	cr_expect_not(allow_list_allows(list, &b));
	allow_list_destroy(list);
	temp_folder_remove(&t);
}

Test(allow_list, torrents_for_which_there_are_no_descriptors_are_not_bad_ones)
{
	struct temp_folder t = temp_folder_make();
	struct info_hash a = write_torrent('a');
	struct error err = {""};
	struct allow_list *list = allow_list_create(NULL, 0, t.path, &err);
	struct rlimit old, one_left;

	cr_assert(list, "%s", err.text);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	one_left = old;
	one_left.rlim_cur = (rlim_t)next_descriptor() + 1;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &one_left), 0);
	cr_expect_not(allow_list_reload(list, NULL, NULL, &err));
	cr_expect(strstr(err.text, "a.torrent"), "%s", err.text);
	cr_expect(allow_list_allows(list, &a));
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	allow_list_destroy(list);
	temp_folder_remove(&t);
}
