#include "client/discovery/portmap.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "client/discovery/portmap_gateway.h"
#include "client/discovery/portmap_rules.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/random_bytes.h"
#include "shared/text.h"

enum { END_MS = 1500 };

struct portmap {
	struct portmap_options o;
	struct endpoint bind;
	int stop_fd;
	atomic_bool stopping;
	atomic_bool asked; /* a mapping may be there, to be taken back */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock` */
	/* Guarded by `lock`. */
	bool telling; /* `mapped` is being called */
	bool ended;   /* the thread has; what is left is the owner's */
	bool left;    /* by the owner; the thread frees it */
};

static void release(struct portmap *p)
{
	close(p->stop_fd);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* False: it is too late for that. */
static bool begin_telling(struct portmap *p)
{
	pthread_mutex_lock(&p->lock);
	p->telling = !p->left && !p->stopping;
	bool go = p->telling;
	pthread_mutex_unlock(&p->lock);
	return go;
}

static void tell(struct portmap *p, const struct portmap_lease *lease)
{
	static const char *const names[] = {
		[PORTMAP_NATPMP] = "NAT-PMP",
		[PORTMAP_UPNP] = "UPnP",
	};

	if (!begin_telling(p))
		return;
	p->o.mapped(p->o.ctx, &lease->external, names[lease->by]);
	pthread_mutex_lock(&p->lock);
	p->telling = false;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* False: we are to end. */
static bool pause_for(struct portmap *p, uint64_t ms)
{
	struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};

	return poll(&stop, 1, (int)ms) == 0 && !p->stopping;
}

static void end(struct portmap *p)
{
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	bool left = p->left;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (left)
		release(p);
}

static void *run(void *arg)
{
	struct portmap *p = arg;
	struct portmap_request request = {
		.port = p->o.port,
		.external = p->o.port,
		.bind = p->o.bind ? &p->bind : NULL,
		.dice = random_u32(),
		.stopping = &p->stopping,
		.stop_fd = p->stop_fd,
		.asked = &p->asked,
	};
	struct portmap_lease lease, now;
	bool mapped = false;
	unsigned failures = 0;
	uint64_t wait_ms;
	struct error err;

	do {
		if (portmap_gateway_map(&request, &now, &err)) {
			if (!mapped ||
				!endpoint_equal(&lease.external, &now.external))
				tell(p, &now);
			lease = now;
			mapped = true;
			failures = 0;
			request.external = lease.external.port;
			wait_ms = portmap_renew_ms(lease.lease_s);
		} else {
			if (failures == 0 && !p->stopping)
				log_verbose("port %u is not mapped: %s",
					p->o.port, err.text);
			wait_ms = portmap_retry_ms(failures++);
			p->asked = mapped;
		}
	} while (pause_for(p, wait_ms));
	if (mapped)
		portmap_gateway_unmap(&request, &lease);
	end(p);
	return NULL;
}

struct portmap *portmap_start(const struct portmap_options *options)
{
	const struct endpoint *bind = options->bind;
	pthread_condattr_t clock;
	pthread_attr_t detached;
	pthread_t thread;

	if (bind && (!endpoint_is_v4(bind) || endpoint_is_loopback(bind)))
		return NULL;
	struct portmap *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->o = *options;
	if (bind)
		p->bind = *bind;
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &clock);
	pthread_condattr_destroy(&clock);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	bool ok = p->stop_fd >= 0 &&
		pthread_create(&thread, &detached, run, p) == 0;
	pthread_attr_destroy(&detached);
	if (ok)
		return p;
	release(p);
	return NULL;
}

void portmap_stop(struct portmap *p)
{
	if (!p)
		return;
	p->stopping = true;
	(void)!write(p->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
}

void portmap_destroy(struct portmap *p)
{
	if (!p)
		return;
	portmap_stop(p);
	uint64_t until_ms = clock_ms() + END_MS;
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	pthread_mutex_lock(&p->lock);
	while (!p->ended &&
		(p->telling || (p->asked && clock_ms() < until_ms))) {
		if (p->telling)
			pthread_cond_wait(&p->changed, &p->lock);
		else
			pthread_cond_timedwait(&p->changed, &p->lock, &until);
	}
	p->left = true;
	bool ended = p->ended;
	pthread_mutex_unlock(&p->lock);
	if (ended)
		release(p);
}
