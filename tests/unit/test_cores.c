#include "shared/cores.h"

#include <criterion/criterion.h>
#include <sched.h>

static size_t first_of(const cpu_set_t *set)
{
	size_t i = 0;

	while (!CPU_ISSET(i, set))
		i++;
	return i;
}

Test(cores, those_that_the_process_may_run_on_count)
{
	cpu_set_t all, one;

	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	cr_expect_eq(cores_count(), (unsigned)CPU_COUNT(&all));
	CPU_ZERO(&one);
	CPU_SET(first_of(&all), &one);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	cr_expect_eq(cores_count(), 1);
}
