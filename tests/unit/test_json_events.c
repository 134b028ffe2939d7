#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "client/session/events.h"
#include "client/ui/json_events.h"

static const struct info_hash hash = {{0xab, 0xcd}};

/* What is printed for an event; the time, which varies, is taken out. */
static char *printed(struct event event)
{
	static char line[2048];
	int ends[2];
	ssize_t len;

	cr_assert_eq(pipe(ends), 0);
	fflush(stdout);
	int old = dup(STDOUT_FILENO);
	dup2(ends[1], STDOUT_FILENO);
	json_events_on_event(NULL, &event);
	dup2(old, STDOUT_FILENO);
	close(old);
	close(ends[1]);
	len = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	cr_assert_gt(len, 0);
	line[len] = '\0';

	json_t *json = json_loads(line, 0, NULL);
	cr_assert_not_null(json, "%s", line);
	cr_expect(json_is_number(json_object_get(json, "time")));
	json_object_del(json, "time");
	char *rest = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return rest;
}

#define HASH "\"info_hash\":\"abcd000000000000000000000000000000000000\""

Test(json_events, have_the_keys_of_the_contract)
{
	struct endpoint peer;
	cr_assert(endpoint_parse("[2001:db8::1]:80", &peer));

	cr_expect_str_eq(printed((struct event){.kind = EVENT_LISTENING,
				 .listening.port = 6881}),
		"{\"event\":\"listening\",\"port\":6881}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_METADATA,
				 .torrent = &hash,
				 .name = "a\nb",
				 .metadata = {.pieces = 3,
					 .piece_length = 16384,
					 .length = 40000,
					 .files = 1}}),
		"{\"event\":\"metadata\"," HASH ",\"name\":\"a\\nb\","
		"\"pieces\":3,\"piece_length\":16384,\"length\":40000,"
		"\"files\":1}");
	cr_expect_str_eq(
		printed((struct event){.kind = EVENT_METADATA,
			.torrent = &hash,
			.name = "a",
			.metadata = {.pieces = 3,
				.piece_length = 16384,
				.length = 40000,
				.files = 6,
				.selected = (uint8_t[]){1, 0, 1, 1, 0, 1},
				.selected_files = 4,
				.selected_length = 300}}),
		"{\"event\":\"metadata\"," HASH ",\"name\":\"a\","
		"\"pieces\":3,\"piece_length\":16384,\"length\":40000,"
		"\"files\":6,\"selected\":[[1,1],[3,4],[6,6]],"
		"\"selected_files\":4,\"selected_length\":300}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_CHECKING,
				 .torrent = &hash,
				 .checking = {1, 2}}),
		"{\"event\":\"checking\"," HASH ",\"done\":1,\"total\":2}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_CHECKED,
				 .torrent = &hash,
				 .checked = {1, 2}}),
		"{\"event\":\"checked\"," HASH ",\"have\":1,\"pieces\":2}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_PROGRESS,
				 .torrent = &hash,
				 .progress = {.done = 1,
					 .total = 2,
					 .down = 3,
					 .up = 4,
					 .downloaded = 5,
					 .uploaded = 6,
					 .peers = 7,
					 .seeds = 8,
					 .eta_s = -1}}),
		"{\"event\":\"progress\"," HASH ",\"done\":1,\"total\":2,"
		"\"down\":3,\"up\":4,\"peers\":7,\"eta\":-1,\"seeds\":8,"
		"\"downloaded\":5,\"uploaded\":6,\"seeding\":false}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_PEER,
				 .torrent = &hash,
				 .peer = {peer, PEER_BANNED, "x\x1b", "bad"}}),
		"{\"event\":\"peer\"," HASH ","
		"\"address\":\"[2001:db8::1]:80\",\"state\":\"banned\","
		"\"client\":\"x\\u001B\",\"reason\":\"bad\"}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_PIECE,
				 .torrent = &hash,
				 .piece = {9, false, peer}}),
		"{\"event\":\"piece\"," HASH ",\"index\":9,"
		"\"peer\":\"[2001:db8::1]:80\"}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_PIECE,
				 .torrent = &hash,
				 .piece = {9, true, peer}}),
		"{\"event\":\"piece\"," HASH ",\"index\":9,\"failed\":true}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_COMPLETE,
				 .torrent = &hash,
				 .complete = {10, 2.5, 4}}),
		"{\"event\":\"complete\"," HASH ",\"bytes\":10,"
		"\"seconds\":2.5,\"down\":4}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_STOPPED,
				 .torrent = &hash,
				 .stopped = {1, 2, 3, 4}}),
		"{\"event\":\"stopped\"," HASH ",\"downloaded\":1,"
		"\"uploaded\":2,\"done\":3,\"total\":4}");
	cr_expect_str_eq(printed((struct event){
				 .kind = EVENT_ERROR, .text.message = "a: b"}),
		"{\"event\":\"error\",\"message\":\"a: b\"}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_WARNING,
				 .text.message = "a: b"}),
		"{\"event\":\"warning\",\"message\":\"a: b\"}");
}

Test(json_events, what_trackers_count_is_told_if_they_count)
{
	cr_expect_str_eq(printed((struct event){.kind = EVENT_ANNOUNCE,
				 .torrent = &hash,
				 .announce = {"udp://t:1", ANNOUNCE_NONE, 0,
					 {true, 0, 7}, NULL}}),
		"{\"event\":\"announce\"," HASH ",\"url\":\"udp://t:1\","
		"\"event_sent\":\"\",\"peers\":0,\"seeders\":0,"
		"\"leechers\":7}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_STALLED,
				 .torrent = &hash,
				 .stalled = {"why", {true, 3, 0}}}),
		"{\"event\":\"stalled\"," HASH ",\"reason\":\"why\","
		"\"seeders\":3,\"leechers\":0}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_STALLED,
				 .torrent = &hash,
				 .stalled = {"why", {false, 3, 0}}}),
		"{\"event\":\"stalled\"," HASH ",\"reason\":\"why\"}");
}

Test(json_events, announces_tell_no_passkey)
{
	cr_expect_str_eq(
		printed((struct event){.kind = EVENT_ANNOUNCE,
			.torrent = &hash,
			.announce = {"http://t/0123456789abcdef/a",
				ANNOUNCE_STARTED, 5, {false, 1, 1}, NULL}}),
		"{\"event\":\"announce\"," HASH ",\"url\":\"http://t/.../a\","
		"\"event_sent\":\"started\",\"peers\":5}");
	cr_expect_str_eq(printed((struct event){.kind = EVENT_ANNOUNCE,
				 .torrent = &hash,
				 .announce = {"udp://t:1", ANNOUNCE_NONE, 0,
					 {0}, "no 0123456789abcdef"}}),
		"{\"event\":\"announce\"," HASH ",\"url\":\"udp://t:1\","
		"\"event_sent\":\"\",\"error\":\"no ...\"}");
}
