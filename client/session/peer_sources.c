#include "client/session/peer_sources.h"

#include <stdlib.h>
#include <string.h>

#include "client/discovery/announcer.h"
#include "client/discovery/lsd_socket.h"
#include "client/discovery/peer_queue.h"
#include "client/discovery/portmap.h"
#include "client/discovery/udp_socket.h"
#include "client/peer/metadata_exchange.h"
#include "client/session/events.h"
#include "client/session/session.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/torrent/torrent.h"
#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"

enum {
	STOP_ANNOUNCE_MS = 3000,
	NUMWANT = 80,
	HOST_SHOWN_SIZE = 81,
	/* Nodes to enter the DHT by that torrents name. */
	MAX_TORRENT_NODES = 64,
};

/* ---- trackers ---- */

static void fill_announce(void *arg, struct announce *a)
{
	struct session_torrent *st = arg;

	a->peer.port = st->session->public_port;
	a->downloaded = st->downloaded;
	a->uploaded = st->uploaded;
	/* While there is no metadata nobody knows how much is left, nor when it
	 * was refused; but 0 would call us a seed. */
	a->left = st->state == STATE_FETCHING || !st->torrent
		? METADATA_PIECE_SIZE
		: torrent_wanted_bytes(st->torrent) -
			torrent_have_bytes(st->torrent);
	a->partial_seed = st->state == STATE_SEEDING &&
		!torrent_whole(st->torrent) &&
		(st->mode != SESSION_LEECH || torrent_complete(st->torrent));
	a->numwant = NUMWANT;
	/* A seed has no use for others: who names a number may be given them
	 * to make it up. */
	a->numwant_named = a->left > 0;
}

static void take_peers(void *arg, const struct endpoint *peers, size_t count)
{
	session_torrent_hear_of(arg, FROM_TRACKER, peers, count);
}

/* For people: how it stands with the trackers.  That one fails is of no
 * interest while another answers. */
static void keep_word(
	struct session_torrent *st, const struct announcer_news *news)
{
	char host[HOST_SHOWN_SIZE];

	if (news->error && st->tracker_url && st->tracker_url != news->url)
		return;
	st->tracker_url = news->error ? NULL : news->url;
	metainfo_url_host(news->url, host, sizeof(host));
	session_torrent_keep_counts(st, &news->counts);
	if (news->error)
		session_torrent_say(st, WORD_OF_TRACKER, "tracker %s: %s", host,
			news->error);
	else
		session_torrent_say(st, WORD_OF_TRACKER,
			"tracker %s gave %zu address%s", host, news->peers,
			news->peers == 1 ? "" : "es");
}

static void report_announce(void *arg, const struct announcer_news *news)
{
	struct session_torrent *st = arg;

	keep_word(st, news);
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_ANNOUNCE,
			.announce = {.url = news->url,
				.sent = news->event,
				.peers = news->peers,
				.counts = news->counts,
				.error = news->error}});
}

static void take_counts(
	void *arg, const char *url, const struct announce_counts *counts)
{
	struct session_torrent *st = arg;

	if (st->tracker_url == url)
		session_torrent_keep_counts(st, counts);
}

void peer_sources_track(struct peer_sources *p, struct session_torrent *st)
{
	struct announcer_options o = {
		/* Metadata names no trackers: those of the link stay. */
		.m = st->magnet ? &st->linked : st->m,
		.port = p->context->port,
		.key = p->key,
		.bind = p->context->bind,
		.ctx = st,
		.fill = fill_announce,
		.peers = take_peers,
		.report = report_announce,
		.counts = take_counts,
	};

	memcpy(o.peer_id, p->context->peer_id, PEER_ID_SIZE);
	st->announcer = announcer_start(&o);
	if (!st->announcer)
		session_torrent_warn(
			st, "%s: no thread for its trackers", st->m->name);
}

/* ---- DHT and LSD ---- */

/* Whether any torrent may be spoken of to others than its trackers and peers
 * (BEP 27). */
static bool any_public(const struct peer_sources *p)
{
	for (size_t i = 0; i < p->context->torrent_count; i++) {
		if (!p->context->torrents[i].m->private)
			return true;
	}
	return false;
}

static void take_found(struct peer_sources *p, enum candidate_source source,
	const struct info_hash *torrent, const struct endpoint *peers,
	size_t count)
{
	for (size_t i = 0; i < p->context->torrent_count; i++) {
		struct session_torrent *st = &p->context->torrents[i];
		const struct metainfo *m = st->m;

		if (info_hash_equal(&m->info_hash, torrent) && !m->private)
			session_torrent_hear_of(st, source, peers, count);
	}
}

static void take_dht_peers(void *arg, const struct info_hash *torrent,
	const struct endpoint *peers, size_t count)
{
	take_found(arg, FROM_DHT, torrent, peers, count);
}

static void take_lsd_peer(
	void *arg, const struct info_hash *torrent, const struct endpoint *peer)
{
	take_found(arg, FROM_LSD, torrent, peer, 1);
}

/* Those that the user and the torrents name; the user's first. */
static struct dht_entrance *list_entrances(
	const struct peer_sources *p, size_t *ret_count)
{
	const struct session_options *o = p->options;
	size_t max = o->dht_node_count + MAX_TORRENT_NODES;
	struct dht_entrance *list = calloc(max, sizeof(*list));
	size_t count = 0;

	for (; list && count < o->dht_node_count; count++)
		list[count] = o->dht_nodes[count];
	for (size_t i = 0; list && i < p->context->torrent_count; i++) {
		const struct metainfo *m = p->context->torrents[i].m;

		for (size_t j = 0; j < m->node_count && count < max; j++)
			list[count++] = (struct dht_entrance){
				m->nodes[j].host, m->nodes[j].port};
	}
	*ret_count = count;
	return list;
}

/* Only if there is a torrent that may use it.  Without it the other sources of
 * peers are left. */
static void open_dht(struct peer_sources *p)
{
	const struct session_options *o = p->options;
	struct error err;

	if (o->no_dht || !any_public(p))
		return;

	struct udp_options udp = {
		.port = p->context->port,
		.bind = o->bind,
		/* Nobody in public can be reached from loopback. */
		.public = o->dht_node_count == 0 &&
			!(o->bind && endpoint_is_loopback(o->bind)),
		.ctx = p,
		.peers = take_dht_peers,
	};
	struct dht_entrance *entrances = list_entrances(p, &udp.entrance_count);
	udp.entrances = entrances;
	p->context->udp = udp_socket_open(&udp, &err);
	if (!p->context->udp)
		log_verbose("%s; no DHT", err.text);
	free(entrances);
}

static void open_lsd(struct peer_sources *p)
{
	struct lsd_options lsd = {
		.port = p->context->port,
		.bind = p->options->bind,
		.torrents = p->context->torrent_count,
		.ctx = p,
		.peer = take_lsd_peer,
	};
	struct error err;

	if (p->options->no_lsd || !any_public(p))
		return;
	p->context->lsd = lsd_socket_open(&lsd, &err);
	if (!p->context->lsd)
		log_verbose("%s; no peers of the local network", err.text);
}

/* ---- port mapping ---- */

static void on_mapped(
	void *arg, const struct endpoint *external, const char *how)
{
	struct peer_sources *p = arg;
	bool other = external->port != p->context->public_port;

	p->context->public_port = external->port;
	events_emit(p->context->events,
		&(struct event){.kind = EVENT_MAPPED,
			.mapped = {.port = p->context->port,
				.external = *external,
				.how = how}});
	/* Trackers that were told the port before are told anew. */
	for (size_t i = 0; other && i < p->context->torrent_count; i++)
		announcer_renew(p->context->torrents[i].announcer);
}

void peer_sources_map_port(struct peer_sources *p)
{
	struct portmap_options o = {
		.port = p->context->port,
		.bind = p->options->bind,
		.ctx = p,
		.mapped = on_mapped,
	};

	/* A private torrent makes no use of it (BEP 27, and PROMISES, P8). */
	if (!p->options->no_portmap && any_public(p))
		p->portmap = portmap_start(&o);
}

/* ---- all of them ---- */

void peer_sources_init(struct peer_sources *p, struct session_context *context,
	const struct session_options *options)
{
	*p = (struct peer_sources){
		.context = context, .options = options, .key = random_u32()};
}

void peer_sources_open(struct peer_sources *p)
{
	open_dht(p);
	open_lsd(p);
}

void peer_sources_unmap_port(struct peer_sources *p)
{
	portmap_stop(p->portmap);
}

void peer_sources_leave_trackers(struct peer_sources *p)
{
	for (size_t i = 0; i < p->context->torrent_count; i++)
		announcer_stop(
			p->context->torrents[i].announcer, STOP_ANNOUNCE_MS);
}

void peer_sources_close(struct peer_sources *p)
{
	udp_socket_destroy(p->context->udp);
	p->context->udp = NULL;
	lsd_socket_destroy(p->context->lsd);
	p->context->lsd = NULL;
}

void peer_sources_finish(struct peer_sources *p)
{
	portmap_destroy(p->portmap);
	p->portmap = NULL;
	for (size_t i = 0; i < p->context->torrent_count; i++) {
		announcer_destroy(p->context->torrents[i].announcer);
		p->context->torrents[i].announcer = NULL;
	}
}
