#include "client/session/swarm_members.h"

#include <pthread.h>
#include <stdlib.h>

struct member {
	int torrent; /* -1: nobody is there */
	struct pex_peer peer;
};

struct swarm_members {
	pthread_mutex_t lock;
	unsigned count;

	/* Guarded by `lock`: one a worker. */
	struct member members[];
};

struct swarm_members *swarm_members_create(unsigned count)
{
	struct swarm_members *m =
		calloc(1, sizeof(*m) + count * sizeof(m->members[0]));

	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->count = count;
	for (unsigned i = 0; i < count; i++)
		m->members[i].torrent = -1;
	return m;
}

void swarm_members_destroy(struct swarm_members *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void swarm_members_put(struct swarm_members *m, unsigned worker, int torrent,
	const struct pex_peer *peer)
{
	pthread_mutex_lock(&m->lock);
	m->members[worker] = (struct member){torrent, *peer};
	pthread_mutex_unlock(&m->lock);
}

void swarm_members_remove(struct swarm_members *m, unsigned worker)
{
	pthread_mutex_lock(&m->lock);
	m->members[worker].torrent = -1;
	pthread_mutex_unlock(&m->lock);
}

size_t swarm_members_list(
	struct swarm_members *m, int torrent, struct pex_peer *ret, size_t max)
{
	size_t count = 0;

	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->count && count < max; i++) {
		if (m->members[i].torrent == torrent)
			ret[count++] = m->members[i].peer;
	}
	pthread_mutex_unlock(&m->lock);
	return count;
}
