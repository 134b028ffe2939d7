#include "client/ui/json_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/session/events.h"
#include "client/ui/hide_keys.h"
#include "shared/event_line.h"

enum { SHOWN_SIZE = 1024 }; /* of URLs and what trackers say */

static const char *kind_name(enum event_kind kind)
{
	switch (kind) {
	case EVENT_LISTENING:
		return "listening";
	case EVENT_METADATA:
		return "metadata";
	case EVENT_CHECKING:
		return "checking";
	case EVENT_CHECKED:
		return "checked";
	case EVENT_PROGRESS:
		return "progress";
	case EVENT_PEER:
		return "peer";
	case EVENT_PIECE:
		return "piece";
	case EVENT_ANNOUNCE:
		return "announce";
	case EVENT_COMPLETE:
		return "complete";
	case EVENT_STOPPED:
		return "stopped";
	case EVENT_ERROR:
		return "error";
	case EVENT_WARNING:
		return "warning";
	case EVENT_MAPPED:
		return "mapped";
	case EVENT_STALLED:
		return "stalled";
	}
	return "";
}

static const char *state_name(enum event_peer_state state)
{
	switch (state) {
	case PEER_CONNECTED:
		return "connected";
	case PEER_CLOSED:
		return "closed";
	case PEER_BANNED:
		return "banned";
	}
	return "";
}

static void put_endpoint(struct event_line *line, const char *key,
	const struct endpoint *address)
{
	char text[ENDPOINT_TEXT_SIZE];

	event_line_text(line, key, endpoint_print(address, text));
}

/* Numbers as `show` prints them, as ranges. */
static void put_selection(struct event_line *line, const struct event *event)
{
	const uint8_t *selected = event->metadata.selected;
	uint64_t(*ranges)[2] = calloc(event->metadata.files, sizeof(*ranges));
	size_t count = 0;

	for (size_t i = 0; ranges && i < event->metadata.files; i++) {
		if (!selected[i])
			continue;
		if (count == 0 || ranges[count - 1][1] != i)
			ranges[count++][0] = i + 1;
		ranges[count - 1][1] = i + 1;
	}
	event_line_ranges(
		line, "selected", (const uint64_t(*)[2])ranges, count);
	event_line_number(
		line, "selected_files", event->metadata.selected_files);
	event_line_number(
		line, "selected_length", event->metadata.selected_length);
	free(ranges);
}

static void put_metadata(struct event_line *line, const struct event *event)
{
	event_line_text(line, "name", event->name ? event->name : "");
	event_line_number(line, "pieces", event->metadata.pieces);
	event_line_number(line, "piece_length", event->metadata.piece_length);
	event_line_number(line, "length", event->metadata.length);
	event_line_number(line, "files", event->metadata.files);
	if (event->metadata.selected)
		put_selection(line, event);
}

static void put_progress(struct event_line *line, const struct event *event)
{
	event_line_number(line, "done", event->progress.done);
	event_line_number(line, "total", event->progress.total);
	event_line_number(line, "down", event->progress.down);
	event_line_number(line, "up", event->progress.up);
	event_line_number(line, "peers", event->progress.peers);
	event_line_signed(line, "eta", event->progress.eta_s);
	event_line_number(line, "seeds", event->progress.seeds);
	event_line_number(line, "downloaded", event->progress.downloaded);
	event_line_number(line, "uploaded", event->progress.uploaded);
	event_line_bool(line, "seeding", event->progress.seeding);
}

static void put_peer(struct event_line *line, const struct event *event)
{
	put_endpoint(line, "address", &event->peer.address);
	event_line_text(line, "state", state_name(event->peer.state));
	event_line_text(line, "client", event->peer.client);
	event_line_text(line, "reason", event->peer.reason);
}

static void put_piece(struct event_line *line, const struct event *event)
{
	event_line_number(line, "index", event->piece.index);
	if (event->piece.failed)
		event_line_bool(line, "failed", true);
	else
		put_endpoint(line, "peer", &event->piece.address);
}

static void put_counts(
	struct event_line *line, const struct announce_counts *counts)
{
	if (!counts->known)
		return;
	event_line_number(line, "seeders", counts->seeders);
	event_line_number(line, "leechers", counts->leechers);
}

static void put_announce(struct event_line *line, const struct event *event)
{
	char text[SHOWN_SIZE];

	event_line_text(line, "url",
		hide_keys_in_url(event->announce.url, text, sizeof(text)));
	event_line_text(
		line, "event_sent", announce_event_name(event->announce.sent));
	if (event->announce.error)
		event_line_text(line, "error",
			hide_keys_in_text(
				event->announce.error, text, sizeof(text)));
	else
		event_line_number(line, "peers", event->announce.peers);
	put_counts(line, &event->announce.counts);
}

static void put_stalled(struct event_line *line, const struct event *event)
{
	char text[SHOWN_SIZE];

	event_line_text(line, "reason",
		hide_keys_in_text(event->stalled.reason, text, sizeof(text)));
	put_counts(line, &event->stalled.counts);
}

static void put_complete(struct event_line *line, const struct event *event)
{
	event_line_number(line, "bytes", event->complete.bytes);
	event_line_real(line, "seconds", event->complete.seconds);
	event_line_number(line, "down", event->complete.down);
}

static void put_stopped(struct event_line *line, const struct event *event)
{
	event_line_number(line, "downloaded", event->stopped.downloaded);
	event_line_number(line, "uploaded", event->stopped.uploaded);
	event_line_number(line, "done", event->stopped.done);
	event_line_number(line, "total", event->stopped.total);
}

static void put_mapped(struct event_line *line, const struct event *event)
{
	const struct endpoint nowhere = {.port = event->mapped.external.port};

	event_line_number(line, "port", event->mapped.port);
	event_line_number(line, "external_port", event->mapped.external.port);
	if (!endpoint_same_ip(&event->mapped.external, &nowhere))
		put_endpoint(line, "external", &event->mapped.external);
	event_line_text(line, "by", event->mapped.how);
}

static void put_keys(struct event_line *line, const struct event *event)
{
	switch (event->kind) {
	case EVENT_LISTENING:
		event_line_number(line, "port", event->listening.port);
		break;
	case EVENT_METADATA:
		put_metadata(line, event);
		break;
	case EVENT_CHECKING:
		event_line_number(line, "done", event->checking.done);
		event_line_number(line, "total", event->checking.total);
		break;
	case EVENT_CHECKED:
		event_line_number(line, "have", event->checked.have);
		event_line_number(line, "pieces", event->checked.pieces);
		break;
	case EVENT_PROGRESS:
		put_progress(line, event);
		break;
	case EVENT_PEER:
		put_peer(line, event);
		break;
	case EVENT_PIECE:
		put_piece(line, event);
		break;
	case EVENT_ANNOUNCE:
		put_announce(line, event);
		break;
	case EVENT_COMPLETE:
		put_complete(line, event);
		break;
	case EVENT_STOPPED:
		put_stopped(line, event);
		break;
	case EVENT_ERROR:
	case EVENT_WARNING:
		event_line_text(line, "message", event->text.message);
		break;
	case EVENT_MAPPED:
		put_mapped(line, event);
		break;
	case EVENT_STALLED:
		put_stalled(line, event);
		break;
	}
}

void json_events_on_event(void *ctx, const struct event *event)
{
	struct event_line line;

	(void)ctx;
	event_line_begin(&line, kind_name(event->kind));
	if (event->torrent)
		event_line_hash(&line, "info_hash", event->torrent);
	put_keys(&line, event);
	event_line_print(&line, stdout);
}
