#include "shared/cores.h"

#include <sched.h>
#include <unistd.h>

unsigned cores_count(void)
{
	cpu_set_t ours;
	/* For machines too large for the set. */
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (sched_getaffinity(0, sizeof(ours), &ours) == 0)
		count = CPU_COUNT(&ours);
	return count < 1 ? 1 : (unsigned)count;
}
