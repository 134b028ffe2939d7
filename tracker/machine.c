#include "tracker/machine.h"

#include <sys/resource.h>
#include <unistd.h>

enum {
	/* Descriptors: so many are for the standard ones and torrents read at
	 * SIGHUP; and each thread has a listener and two to wait with (HTTP),
	 * and a socket (UDP). */
	SPARE_DESCRIPTORS = 12,
	THREAD_DESCRIPTORS = 4,
	REDIS_DESCRIPTORS = 2, /* more: a connection of each HTTP and UDP one */

	/* A peer alone in its swarm, the dearest kind, takes about 200 bytes:
	 * all of them at most a quarter of the machine. */
	PEER_BYTES = 200,
	MEMORY_SHARE = 4,
};

size_t machine_peers(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page = sysconf(_SC_PAGESIZE);
	size_t memory = (size_t)1 << 30;

	if (pages > 0 && page > 0)
		memory = (size_t)pages * (size_t)page;
	return memory / MEMORY_SHARE / PEER_BYTES;
}

unsigned machine_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : (unsigned)cores;
}

/* How many there may be, after we have asked for `most`. */
static size_t descriptor_limit(size_t most)
{
	struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < most) {
		limit.rlim_cur = limit.rlim_max < most ? limit.rlim_max : most;
		/* What we may not have we do without. */
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur < most ? limit.rlim_cur : most;
}

bool machine_connections(const struct machine_needs *needs, size_t most,
	unsigned *ret, struct error *err)
{
	size_t all = descriptor_limit(most);
	size_t threads = needs->fronts * needs->threads;
	size_t each = THREAD_DESCRIPTORS +
		(needs->with_redis ? REDIS_DESCRIPTORS : 0);
	size_t taken = SPARE_DESCRIPTORS + threads * each;

	if (all < taken + threads)
		return error_set(err,
			"open files: the limit of %zu is too low for %u "
			"threads: raise ulimit -n, or use fewer --threads",
			all, needs->threads);
	*ret = (unsigned)((all - taken) / needs->fronts);
	return true;
}
