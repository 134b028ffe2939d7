#include "client/session/stall.h"

#include <inttypes.h>

#include "shared/writer.h"

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

static void write_web_seeds(struct writer *w, const struct stall_facts *f)
{
	const struct stall_sources *s = &f->sources;

	if (s->web_seeds == 0)
		return;
	if (f->fetching)
		writer_text(w, "; web seeds wait for the metadata");
	else if (s->web_seed[0] == '\0')
		writer_text(w, "; web seeds: no answer yet");
	else
		writer_format(w, "; web seed %s", s->web_seed);
}

/* What each source said. */
static void write_sources(struct writer *w, const struct stall_facts *f)
{
	const struct stall_sources *s = &f->sources;

	writer_text(w, ": ");
	write_tracker(w, s);
	if (s->private) {
		writer_text(w, "; private, so nobody else is asked");
	} else {
		write_dht(w, s);
		write_lsd(w, s);
	}
	if (s->pex_heard > 0)
		writer_format(w, "; peers told of %" PRIu64 " address%s",
			s->pex_heard, s->pex_heard == 1 ? "" : "es");
	if (s->banned > 0)
		writer_format(
			w, "; %" PRIu64 " banned for bad data", s->banned);
	write_web_seeds(w, f);
}

/* What the peers that are there cannot tell. */
static void write_others(struct writer *w, const struct stall_facts *f)
{
	if (f->sources.counts.known)
		writer_text(w, "; the tracker");
	write_counts(w, &f->sources);
	write_web_seeds(w, f);
}

static void write_limit(struct writer *w, const struct stall_facts *f)
{
	unsigned peers = f->limited, web_seeds = f->limited_web_seeds;

	writer_format(w,
		"the download limit of %" PRIu64 " bytes a second is used up; ",
		f->limit);
	if (peers > 0)
		writer_format(w, "%u %s", peers, peers == 1 ? "peer" : "peers");
	if (peers > 0 && web_seeds > 0)
		writer_text(w, " and ");
	if (web_seeds > 0)
		writer_format(w, "%u web seed%s", web_seeds,
			web_seeds == 1 ? "" : "s");
	writer_text(
		w, peers + web_seeds == 1 ? " waits for it" : " wait for it");
}

static void write_reason(struct writer *w, const struct stall_facts *f)
{
	const char *peers = f->connected == 1 ? "peer" : "peers";
	unsigned waiting = f->limited + f->limited_web_seeds;

	if (waiting > 0 && f->choking + f->limited >= f->offering) {
		write_limit(w, f);
	} else if (f->connected == 0 && f->addresses == 0 && !f->dialling) {
		writer_text(w, "no peers are known");
		write_sources(w, f);
	} else if (f->connected == 0) {
		writer_format(w,
			"none of the known peers can be reached (%zu to be "
			"tried again)",
			f->addresses);
		write_sources(w, f);
	} else if (f->fetching) {
		if (f->connected == 1)
			writer_text(w,
				"the peer that is connected does not give the "
				"metadata");
		else
			writer_format(w,
				"none of the %u peers connected gives the "
				"metadata",
				f->connected);
		write_others(w, f);
	} else if (f->offering == 0) {
		writer_format(w, "piece %u has no copies among %u %s",
			f->missing, f->connected, peers);
		write_others(w, f);
	} else if (f->choking >= f->offering) {
		writer_format(w,
			f->offering == 1
				? "the %u peer that has what we lack chokes us"
				: "all %u peers that have what we lack choke "
				  "us",
			f->offering);
	} else {
		unsigned asked = f->offering - f->choking - f->limited;
		writer_format(w, "no answer to the requests made of %u %s",
			asked, asked == 1 ? "peer" : "peers");
	}
}

/* What comes next of the reason itself, without digits; '\0' at its end. */
static char next_of_reason(const char **at)
{
	while (**at >= '0' && **at <= '9')
		(*at)++;
	return **at == ':' || **at == '\0' ? '\0' : *(*at)++;
}

bool stall_same(const char *a, const char *b)
{
	char next;

	do {
		next = next_of_reason(&a);
		if (next != next_of_reason(&b))
			return false;
	} while (next != '\0');
	return true;
}

const char *stall_reason(const struct stall_facts *f, char ret[STALL_TEXT_SIZE])
{
	struct writer w = writer_of(ret, STALL_TEXT_SIZE - 1);

	write_reason(&w, f); /* what does not fit is left out */
	ret[writer_len(&w)] = '\0';
	return ret;
}
