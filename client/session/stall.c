#include "client/session/stall.h"

#include <inttypes.h>
#include <stdio.h>

#include "shared/writer.h"

/* What does not fit is left out. */
enum { SOURCES_SIZE = STALL_TEXT_SIZE - 100, COUNTS_SIZE = 80 };

/* What a tracker counts, us among them. */
static void write_counts(struct writer *w, const struct stall_sources *s)
{
	const struct announce_counts *c = &s->counts;

	if (c->known)
		writer_format(w,
			" counts %" PRIu32 " seed%s, %" PRIu32
			" leech%s with us",
			c->seeders, c->seeders == 1 ? "" : "s", c->leechers,
			c->leechers == 1 ? "" : "es");
}

static void write_tracker(struct writer *w, const struct stall_sources *s)
{
	if (s->trackers == 0)
		writer_text(w, "no tracker");
	else if (s->tracker[0] == '\0')
		writer_text(w, "no tracker has answered yet");
	else
		writer_text(w, s->tracker);
	if (s->counts.known)
		writer_text(w, " and");
	write_counts(w, s);
}

static void write_dht(struct writer *w, const struct stall_sources *s)
{
	if (!s->dht)
		writer_text(w, "; no DHT");
	else if (s->dht_nodes == 0)
		writer_text(w, "; DHT: no node answers");
	else
		writer_format(w, "; DHT: %zu node%s, %" PRIu64 " address%s",
			s->dht_nodes, s->dht_nodes == 1 ? "" : "s",
			s->dht_heard, s->dht_heard == 1 ? "" : "es");
}

static void write_lsd(struct writer *w, const struct stall_sources *s)
{
	if (!s->lsd)
		writer_text(w, "; no LSD");
	else if (s->lsd_heard == 0)
		writer_text(w, "; LSD: nobody in the local network");
	else
		writer_format(w, "; LSD: heard of peers %" PRIu64 " time%s",
			s->lsd_heard, s->lsd_heard == 1 ? "" : "s");
}

static void write_web_seeds(struct writer *w, const struct stall_sources *s)
{
	if (s->web_seeds == 0)
		return;
	if (s->web_seed[0] == '\0')
		writer_text(w, "; web seeds: no answer yet");
	else
		writer_format(w, "; web seed %s", s->web_seed);
}

/* What each source said. */
static void write_sources(const struct stall_sources *s, char ret[SOURCES_SIZE])
{
	struct writer w = writer_of(ret, SOURCES_SIZE - 1);

	write_tracker(&w, s);
	if (s->private) {
		writer_text(&w, "; private, so nobody else is asked");
	} else {
		write_dht(&w, s);
		write_lsd(&w, s);
	}
	if (s->pex_heard > 0)
		writer_format(&w, "; peers told of %" PRIu64 " address%s",
			s->pex_heard, s->pex_heard == 1 ? "" : "es");
	write_web_seeds(&w, s);
	ret[writer_len(&w)] = '\0';
}

const char *stall_reason(const struct stall_facts *f, char ret[STALL_TEXT_SIZE])
{
	char sources[SOURCES_SIZE];
	char counts[COUNTS_SIZE];
	struct writer w = writer_of(counts, sizeof(counts) - 1);
	unsigned asked = f->offering - f->choking - f->limited;

	write_sources(&f->sources, sources);
	if (f->sources.counts.known)
		writer_text(&w, "; the tracker");
	write_counts(&w, &f->sources);
	counts[writer_len(&w)] = '\0';
	if (f->connected == 0 && f->addresses == 0 && !f->dialling)
		snprintf(ret, STALL_TEXT_SIZE, "no peers are known: %s",
			sources);
	else if (f->connected == 0)
		snprintf(ret, STALL_TEXT_SIZE,
			"none of the known peers can be reached (%zu to be "
			"tried again): %s",
			f->addresses, sources);
	else if (f->fetching && f->connected == 1)
		snprintf(ret, STALL_TEXT_SIZE,
			"the peer that is connected does not give the "
			"metadata");
	else if (f->fetching)
		snprintf(ret, STALL_TEXT_SIZE,
			"none of the %u peers connected gives the metadata",
			f->connected);
	else if (f->offering == 0)
		snprintf(ret, STALL_TEXT_SIZE,
			"piece %u has no copies among %u %s%s", f->missing,
			f->connected, f->connected == 1 ? "peer" : "peers",
			counts);
	else if (f->choking >= f->offering)
		snprintf(ret, STALL_TEXT_SIZE,
			f->offering == 1
				? "the %u peer that has what we lack chokes us"
				: "all %u peers that have what we lack choke "
				  "us",
			f->offering);
	else if (f->choking + f->limited >= f->offering)
		snprintf(ret, STALL_TEXT_SIZE,
			"the download limit of %" PRIu64 " bytes a second is "
			"used up; %u %s for it",
			f->limit, f->limited,
			f->limited == 1 ? "peer waits" : "peers wait");
	else
		snprintf(ret, STALL_TEXT_SIZE,
			"no answer to the requests made of %u %s", asked,
			asked == 1 ? "peer" : "peers");
	return ret;
}
