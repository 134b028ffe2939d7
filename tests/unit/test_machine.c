#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/temp_folder.h"
#include "tracker/machine.h"

static void write_limit(const char *root, const char *group, const char *text)
{
	char path[200];

	snprintf(path, sizeof(path), "%s%s", root, group);
	(void)mkdir(path, 0755); /* may be there */
	snprintf(path, sizeof(path), "%s%s/memory.max", root, group);
	FILE *file = fopen(path, "w");
	cr_assert(file);
	fputs(text, file);
	fclose(file);
}

Test(machine, the_least_limit_of_a_group_and_those_above_it_counts)
{
	struct temp_folder t = temp_folder_make();
	const char *root = t.path;

	cr_expect_eq(machine_group_limit(root, ""), SIZE_MAX);
	cr_expect_eq(machine_group_limit(root, "/gone/away"), SIZE_MAX);
	write_limit(root, "/a", "max\n");
	write_limit(root, "/a/b", "4096\n");
	write_limit(root, "/a/b/c", "8192\n");
	cr_expect_eq(machine_group_limit(root, "/a"), SIZE_MAX);
	cr_expect_eq(machine_group_limit(root, "/a/b"), 4096);
	cr_expect_eq(machine_group_limit(root, "/a/b/c"), 4096);
	cr_expect_eq(machine_group_limit(root, "/a/b/c/d"), 4096);
	write_limit(root, "", "1000\n");
	cr_expect_eq(machine_group_limit(root, "/a/b/c"), 1000);
	cr_expect_eq(machine_group_limit(root, "/"), 1000);
	write_limit(root, "", "nonsense");
	cr_expect_eq(machine_group_limit(root, "/"), SIZE_MAX);
	temp_folder_remove(&t);
}

Test(machine, there_is_room_for_some_peers_and_at_least_one_core)
{
	cr_expect_gt(machine_peers(), 1000);
	cr_expect_geq(machine_cores(), 1);
}
