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

Test(machine, there_is_room_for_some_peers)
{
	cr_expect_gt(machine_peers(), 1000);
}

Test(machine, connections_go_by_descriptors_and_by_memory)
{
	const size_t gib = (size_t)1 << 30;
	static const struct {
		struct machine_needs needs;
		size_t descriptors;
		size_t memory_gib;
		bool ok;
		unsigned connections; /* at each address */
	} cases[] = {
		/* 12, and 4 for each thread, and two connections */
		{{1, 1, false}, 17, 64, false, 0},
		{{1, 1, false}, 18, 64, true, 2},
		{{1, 2, false}, 23, 64, false, 0},
		{{1, 2, false}, 24, 64, true, 4},
		{{2, 2, false}, 1028, 64, true, 500},
		/* and 2 more with Redis */
		{{1, 2, true}, 27, 64, false, 0},
		{{1, 2, true}, 28, 64, true, 4},
		/* 24 KiB each in an eighth */
		{{1, 1, false}, 65536, 64, true, 65520},
		{{1, 1, false}, 65536, 1, true, 5461},
		{{2, 1, false}, 65536, 1, true, 2730},
		{{2, 4, false}, 65536, 0, true, 8}, /* no less than two */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned connections = 0;
		struct error err = {""};
		bool ok = machine_share(&cases[i].needs, cases[i].descriptors,
			cases[i].memory_gib * gib, &connections, &err);

		cr_expect_eq(ok, cases[i].ok, "case %zu", i);
		cr_expect_eq(connections, cases[i].connections, "case %zu: %u",
			i, connections);
		cr_expect_eq(err.text[0] == '\0', ok);
	}
}
