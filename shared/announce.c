#include "shared/announce.h"

#include <string.h>

const char *announce_event_name(enum announce_event event)
{
	switch (event) {
	case ANNOUNCE_NONE:
		return "";
	case ANNOUNCE_COMPLETED:
		return "completed";
	case ANNOUNCE_STARTED:
		return "started";
	case ANNOUNCE_STOPPED:
		return "stopped";
	}
	return "";
}

static void raise(uint32_t *value, uint32_t other)
{
	if (other > *value)
		*value = other;
}

void announce_reply_add(
	struct announce_reply *all, const struct announce_reply *more)
{
	raise(&all->interval_s, more->interval_s);
	raise(&all->min_interval_s, more->min_interval_s);
	all->counted |= more->counted;
	raise(&all->seeders, more->seeders);
	raise(&all->leechers, more->leechers);
	raise(&all->completed, more->completed);
	if (all->warning[0] == '\0')
		memcpy(all->warning, more->warning, sizeof(all->warning));
	if (all->tracker_id_len == 0) {
		all->tracker_id_len = more->tracker_id_len;
		memcpy(all->tracker_id, more->tracker_id,
			sizeof(all->tracker_id));
	}
	for (size_t i = 0; i < more->peer_count &&
		all->peer_count < ANNOUNCE_REPLY_MAX_PEERS;
		i++)
		all->peers[all->peer_count++] = more->peers[i];
}

void announce_reply_count(
	struct announce_reply *reply, const struct scrape_entry *entry)
{
	reply->counted = true;
	reply->seeders = entry->seeders;
	reply->leechers = entry->leechers;
	reply->completed = entry->completed;
}
