#include "shared/metainfo_sources.h"

#include <stdlib.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/metainfo.h"
#include "shared/text.h"

enum {
	/* Entries of lists of URLs that are looked at: each is compared with
	 * those kept. */
	URLS_READ_MAX = 10000,
	HOST_MAX = 253, /* RFC 1035, as text */
};

/* Copy a URL if it is one to use. */
static bool read_url(
	struct span value, bool udp_too, char ret[METAINFO_MAX_URL + 1])
{
	struct span text;

	if (!bencode_as_string(value, &text) || text.len > METAINFO_MAX_URL ||
		memchr(text.at, '\0', text.len))
		return false;
	memcpy(ret, text.at, text.len);
	ret[text.len] = '\0';
	if (!udp_too) /* a web seed's, with a file's name in it */
		(void)text_escape_spaces(ret, METAINFO_MAX_URL + 1);
	return metainfo_url_usable(ret, udp_too);
}

/* Keep a tracker unless it is of no use or there already.  False: out of
 * memory. */
static bool add_tracker(struct metainfo *m, struct span value, unsigned tier)
{
	char url[METAINFO_MAX_URL + 1];

	if (m->tracker_count == METAINFO_MAX_TRACKERS ||
		!read_url(value, true, url))
		return true;
	for (size_t i = 0; i < m->tracker_count; i++) {
		if (strcmp(m->trackers[i].url, url) == 0)
			return true;
	}
	const char *kept = arena_keep(&m->memory, url, strlen(url));
	if (!kept)
		return false;
	m->trackers[m->tracker_count++] =
		(struct metainfo_tracker){.tier = tier, .url = kept};
	return true;
}

/* BEP 12: where there is an `announce-list`, `announce` is not looked at; but
 * a list without any use does not count. */
static bool read_trackers(
	struct metainfo *m, struct span announce, struct span announce_list)
{
	struct reader tiers, urls;
	struct span tier_value, url;
	unsigned tier = 0;
	size_t seen = 0;

	m->trackers = calloc(METAINFO_MAX_TRACKERS, sizeof(*m->trackers));
	if (!m->trackers)
		return false;
	bool more = bencode_as_list(announce_list, &tiers);
	while (more && bencode_list_next(&tiers, &tier_value)) {
		size_t before = m->tracker_count;

		bool in_tier = bencode_as_list(tier_value, &urls);
		while (in_tier && bencode_list_next(&urls, &url) &&
			seen++ < URLS_READ_MAX) {
			if (!add_tracker(m, url, tier))
				return false;
		}
		if (m->tracker_count > before)
			tier++;
	}
	return m->tracker_count > 0 || add_tracker(m, announce, 0);
}

static bool add_web_seed(struct metainfo *m, struct span value)
{
	char url[METAINFO_MAX_URL + 1];

	if (m->web_seed_count == METAINFO_MAX_WEB_SEEDS ||
		!read_url(value, false, url))
		return true;
	for (size_t i = 0; i < m->web_seed_count; i++) {
		if (strcmp(m->web_seeds[i], url) == 0)
			return true;
	}
	const char *kept = arena_keep(&m->memory, url, strlen(url));
	if (!kept)
		return false;
	m->web_seeds[m->web_seed_count++] = kept;
	return true;
}

/* BEP 19: one URL or a list of them. */
static bool read_web_seeds(struct metainfo *m, struct span value)
{
	struct reader r;
	struct span url;
	size_t seen = 0;

	m->web_seeds = calloc(METAINFO_MAX_WEB_SEEDS, sizeof(*m->web_seeds));
	if (!m->web_seeds)
		return false;
	if (!bencode_as_list(value, &r))
		return add_web_seed(m, value);
	while (bencode_list_next(&r, &url) && seen++ < URLS_READ_MAX) {
		if (!add_web_seed(m, url))
			return false;
	}
	return true;
}

/* A host's name or address is graphic ASCII. */
static bool is_host(struct span host)
{
	if (host.len == 0 || host.len > HOST_MAX)
		return false;
	for (size_t i = 0; i < host.len; i++) {
		if (host.at[i] <= ' ' || host.at[i] > '~')
			return false;
	}
	return true;
}

/* [host, port]; any other is left out.  False: out of memory. */
static bool add_node(struct metainfo *m, struct span value)
{
	struct reader r;
	struct span item, host;
	int64_t port;

	if (!bencode_as_list(value, &r) || !bencode_list_next(&r, &item) ||
		!bencode_as_string(item, &host) || !is_host(host) ||
		!bencode_list_next(&r, &item) || !bencode_as_int(item, &port) ||
		port < 1 || port > UINT16_MAX)
		return true;
	const char *kept = arena_keep(&m->memory, host.at, host.len);
	if (!kept)
		return false;
	m->nodes[m->node_count++] =
		(struct metainfo_node){.host = kept, .port = (uint16_t)port};
	return true;
}

/* BEP 5; a private torrent is none of the DHT's business (BEP 27). */
static bool read_nodes(struct metainfo *m, struct span value)
{
	struct reader r;
	struct span node;

	if (m->private || !bencode_as_list(value, &r))
		return true;
	m->nodes = calloc(METAINFO_MAX_NODES, sizeof(*m->nodes));
	if (!m->nodes)
		return false;
	while (m->node_count < METAINFO_MAX_NODES &&
		bencode_list_next(&r, &node)) {
		if (!add_node(m, node))
			return false;
	}
	return true;
}

bool metainfo_sources_read(
	const struct metainfo_sources *sources, struct metainfo *m)
{
	return read_trackers(m, sources->announce, sources->announce_list) &&
		read_web_seeds(m, sources->url_list) &&
		read_nodes(m, sources->nodes);
}
