#include "tracker/machine.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
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
	PEERS_SHARE = 4,

	/* A connection whose request is as long as any, and does not end: all
	 * of them at most an eighth of the machine. */
	CONNECTION_BYTES = 24 * 1024,
	CONNECTIONS_SHARE = 8,

	/* Connections a thread at the least: one that is open, and one that
	 * comes, for which the open one may have to go. */
	FEWEST_CONNECTIONS = 2,
};

/* SIZE_MAX: no limit there. */
static size_t limit_in(const char *folder)
{
	char path[PATH_MAX];
	size_t limit = SIZE_MAX;

	int n = snprintf(path, sizeof(path), "%s/memory.max", folder);
	FILE *file =
		n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;
	if (!file)
		return SIZE_MAX;
	if (fscanf(file, "%zu", &limit) != 1)
		limit = SIZE_MAX; /* "max" */
	fclose(file);
	return limit;
}

size_t machine_group_limit(const char *root, const char *group)
{
	char folder[PATH_MAX];
	size_t limit = SIZE_MAX;

	int n = snprintf(folder, sizeof(folder), "%s%s", root, group);
	if (n < 0 || (size_t)n >= sizeof(folder))
		return SIZE_MAX;
	for (char *slash = folder + n; slash; slash = strrchr(folder, '/')) {
		*slash = '\0';
		if (strlen(folder) < strlen(root))
			break;

		size_t here = limit_in(folder);
		limit = here < limit ? here : limit;
	}
	return limit;
}

/* Of the control group that we are in (Linux, version 2). */
static size_t our_group_limit(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char group[PATH_MAX] = "";

	if (!file)
		return SIZE_MAX;
	_Static_assert(PATH_MAX > 4000, "the width below");
	if (fscanf(file, "0::%4000[^\n]", group) != 1)
		group[0] = '\0';
	fclose(file);
	return machine_group_limit("/sys/fs/cgroup", group);
}

/* Bytes that there are for us, together with others. */
static size_t memory_size(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page = sysconf(_SC_PAGESIZE);
	size_t memory = (size_t)1 << 30;

	if (pages > 0 && page > 0)
		memory = (size_t)pages * (size_t)page;

	size_t limit = our_group_limit();
	return limit < memory ? limit : memory;
}

size_t machine_peers(void) { return memory_size() / PEERS_SHARE / PEER_BYTES; }

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

bool machine_share(const struct machine_needs *needs, size_t descriptors,
	size_t memory, unsigned *ret, struct error *err)
{
	size_t threads = needs->fronts * needs->threads;
	size_t each = THREAD_DESCRIPTORS +
		(needs->with_redis ? REDIS_DESCRIPTORS : 0);
	size_t taken = SPARE_DESCRIPTORS + threads * each;
	size_t fewest = threads * FEWEST_CONNECTIONS;

	if (descriptors < taken + fewest)
		return error_set(err,
			"open files: the limit of %zu is too low for "
			"--threads %u: raise ulimit -n, or use fewer",
			descriptors, needs->threads);

	size_t count = descriptors - taken;
	size_t fit = memory / CONNECTIONS_SHARE / CONNECTION_BYTES;
	if (fit < count)
		count = fit > fewest ? fit : fewest;
	*ret = (unsigned)(count / needs->fronts);
	return true;
}

bool machine_connections(const struct machine_needs *needs, size_t most,
	unsigned *ret, struct error *err)
{
	return machine_share(
		needs, descriptor_limit(most), memory_size(), ret, err);
}
