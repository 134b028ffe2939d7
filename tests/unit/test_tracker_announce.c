#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/metainfo.h"
#include "tracker/address_limit.h"
#include "tracker/allow_list.h"
#include "tracker/announce.h"
#include "tracker/counters.h"
#include "tracker/page_metrics.h"
#include "tracker/page_stats.h"
#include "tracker/page_status.h"
#include "tracker/passkeys.h"
#include "tracker/store_memory.h"
#include "tracker/swarm_store.h"

static struct counters counters;
static const struct span no_key;

static struct announce_rules rules_of(struct allow_list *allowed, size_t max)
{
	struct announce_rules rules = {
		.store = store_memory_create(max, 3600),
		.allowed = allowed,
		.counters = &counters,
		.interval_s = 900,
	};

	cr_assert(rules.store && rules.allowed);
	return rules;
}

static struct announce sample(unsigned peer)
{
	struct announce a = {.left = 1, .numwant = 50};

	cr_assert(endpoint_parse("10.0.0.0:1", &a.peer));
	a.peer.ip[14] = (uint8_t)(peer >> 8);
	a.peer.ip[15] = (uint8_t)peer;
	return a;
}

/* A torrent of one file; the name makes its hash. */
static void write_torrent(const char *path, const char *name)
{
	FILE *f = fopen(path, "w");

	cr_assert(f);
	fprintf(f,
		"d4:infod6:lengthi1e4:name%zu:%s12:piece lengthi16384e"
		"6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
		strlen(name), name);
	cr_assert_eq(fclose(f), 0);
}

static struct info_hash hash_of(const char *path)
{
	struct metainfo m;
	struct error err = {""};

	cr_assert(metainfo_load(path, &m, &err), "%s", err.text);
	struct info_hash hash = m.info_hash;
	metainfo_finish(&m);
	return hash;
}

static void enter_empty_folder(void)
{
	char folder[] = "/tmp/test_tracker_announce.XXXXXX";

	cr_assert(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
}

Test(tracker_announce, an_answer_has_counts_peers_and_the_interval)
{
	static struct announce_reply reply;
	struct error err;
	struct announce_rules rules =
		rules_of(allow_list_create(NULL, 0, NULL, &err), 1000);

	for (unsigned i = 0; i < 300; i++) {
		struct announce a = sample(i);
		a.numwant = UINT32_MAX;
		memset(&reply, 0xff, sizeof(reply));
		announce_handle(&rules, &a, no_key, 0, &reply);
		cr_assert_str_eq(reply.failure, "");
		cr_assert_str_eq(reply.warning, "");
		cr_assert_eq(reply.peer_count,
			i < ANNOUNCE_MAX_PEERS ? i : ANNOUNCE_MAX_PEERS);
	}
	cr_expect_eq(reply.interval_s, 900);
	cr_expect_eq(reply.leechers, 300);
	cr_expect_eq(reply.tracker_id_len, 0);
	cr_expect_eq(counters.announces, 300);
	swarm_store_destroy(rules.store);
	allow_list_destroy(rules.allowed);
}

Test(tracker_announce, a_full_store_is_a_failure_reason)
{
	static struct announce_reply reply;
	struct error err;
	struct announce_rules rules =
		rules_of(allow_list_create(NULL, 0, NULL, &err), 1);
	struct announce a = sample(1);

	announce_handle(&rules, &a, no_key, 0, &reply);
	a.info_hash.bytes[0] = 1;
	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect_str_eq(reply.failure, "the tracker is full");
	cr_expect_eq(reply.peer_count, 0);
	cr_expect_eq(counters.refused, 1);
	swarm_store_destroy(rules.store);
	allow_list_destroy(rules.allowed);
}

Test(tracker_announce, only_torrents_on_the_list_are_tracked)
{
	static const char *const files[] = {"a.torrent"};
	static struct announce_reply reply;
	struct error err = {""};

	enter_empty_folder();
	write_torrent("a.torrent", "a");
	write_torrent("b.torrent", "b");
	struct announce_rules rules =
		rules_of(allow_list_create(files, 1, NULL, &err), 10);
	struct announce a = sample(1);
	struct info_hash hashes[] = {
		hash_of("a.torrent"), hash_of("b.torrent")};
	struct scrape_entry entries[2];
	size_t count = 0;

	a.info_hash = hashes[0];
	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect_str_eq(reply.failure, "");
	a.info_hash = hashes[1];
	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect_str_neq(reply.failure, "");

	cr_expect(announce_handle_scrape(
		&rules, hashes, 2, no_key, entries, &count, &err));
	cr_expect_eq(count, 1);
	cr_expect(info_hash_equal(&entries[0].info_hash, &hashes[0]));
	cr_expect_eq(entries[0].leechers, 1);
	swarm_store_destroy(rules.store);
	allow_list_destroy(rules.allowed);
}

Test(tracker_announce, a_folder_is_read_again_and_bad_files_are_left_out)
{
	struct error err = {""};

	enter_empty_folder();
	write_torrent("a.torrent", "a");
	write_torrent("b.torrent.part", "b");
	cr_assert(fclose(fopen("bad.torrent", "w")) == 0);
	struct info_hash a = hash_of("a.torrent");
	struct info_hash b = hash_of("b.torrent.part");

	struct allow_list *list = allow_list_create(NULL, 0, ".", &err);
	cr_assert(list, "%s", err.text);
	cr_expect(allow_list_allows(list, &a));
	cr_expect_not(allow_list_allows(list, &b));

	rename("b.torrent.part", "b.torrent");
	unlink("a.torrent");
	cr_expect_not(allow_list_allows(list, &b));
	cr_expect(allow_list_reload(list, NULL, NULL, &err));
	cr_expect_not(allow_list_allows(list, &a));
	cr_expect(allow_list_allows(list, &b));
	allow_list_destroy(list);

	/* Nothing in the folder is nothing allowed, not anything. */
	unlink("b.torrent");
	list = allow_list_create(NULL, 0, ".", &err);
	cr_expect_not(allow_list_allows(list, &b));
	allow_list_destroy(list);
}

Test(tracker_announce, a_list_that_cannot_be_read_says_which_file)
{
	static const char *const files[] = {"missing.torrent"};
	struct error err = {""};

	enter_empty_folder();
	cr_expect_null(allow_list_create(files, 1, NULL, &err));
	cr_expect(strstr(err.text, "missing.torrent"), "%s", err.text);
	cr_expect_null(allow_list_create(NULL, 0, "nowhere", &err));
	cr_expect(strstr(err.text, "nowhere"), "%s", err.text);
}

Test(tracker_announce, pages_show_the_figures)
{
	const struct tracker_figures figures = {
		.swarms = 11, .seeders = 22, .leechers = 33, .announces = 44};
	struct buffer page;

	buffer_init(&page, 16 * 1024);
	page_status_write(&figures, &page);
	buffer_append(&page, "", 1);
	cr_assert_not(page.failed);
	cr_expect(strstr((char *)page.bytes, "id=\"n-swarms\">11</span>"));
	cr_expect(strstr((char *)page.bytes, "id=\"n-peers\">55</span>"));
	buffer_finish(&page);

	buffer_init(&page, 16 * 1024);
	page_stats_write(&figures, &page);
	buffer_append(&page, "", 1);
	cr_assert_not(page.failed);
	cr_expect(strstr((char *)page.bytes, "\"peers\": 55"));
	buffer_finish(&page);

	buffer_init(&page, 16 * 1024);
	page_metrics_write(&figures, &page);
	buffer_append(&page, "", 1);
	cr_assert_not(page.failed);
	cr_expect(strstr((char *)page.bytes,
		"# TYPE tbt_tracker_peers gauge\n"
		"tbt_tracker_peers{role=\"seeder\"} 22\n"
		"tbt_tracker_peers{role=\"leecher\"} 33\n"));
	cr_expect(strstr(
		(char *)page.bytes, "\ntbt_tracker_announces_total 44\n"));
	buffer_finish(&page);

	buffer_init(&page, 10);
	page_stats_write(&figures, &page);
	cr_expect(page.failed);
	buffer_finish(&page);
}

Test(tracker_announce, pages_say_what_a_store_does_not_know)
{
	const struct tracker_figures figures = {.swarms = SWARM_UNKNOWN,
		.seeders = SWARM_UNKNOWN,
		.leechers = SWARM_UNKNOWN};
	struct buffer page;

	buffer_init(&page, 16 * 1024);
	page_status_write(&figures, &page);
	buffer_append(&page, "", 1);
	cr_expect(
		strstr((char *)page.bytes, "id=\"n-swarms\">not known</span>"));
	cr_expect(
		strstr((char *)page.bytes, "id=\"n-peers\">not known</span>"));
	buffer_finish(&page);

	buffer_init(&page, 16 * 1024);
	page_stats_write(&figures, &page);
	buffer_append(&page, "", 1);
	cr_expect(strstr((char *)page.bytes, "\"peers\": null"));
	buffer_finish(&page);

	buffer_init(&page, 16 * 1024);
	page_metrics_write(&figures, &page);
	buffer_append(&page, "", 1);
	cr_expect_not(strstr((char *)page.bytes, "tbt_tracker_peers"));
	cr_expect_not(strstr((char *)page.bytes, "tbt_tracker_swarms"));
	cr_expect(strstr((char *)page.bytes, "tbt_tracker_scrapes_total 0\n"));
	buffer_finish(&page);
}

static struct announce_rules open_rules(void)
{
	struct error err;
	struct announce_rules rules =
		rules_of(allow_list_create(NULL, 0, NULL, &err), 100);

	return rules;
}

static void finish_rules(struct announce_rules *rules)
{
	address_limit_destroy(rules->announce_limit);
	address_limit_destroy(rules->swarm_limit);
	passkeys_destroy(rules->passkeys);
	swarm_store_destroy(rules->store);
	allow_list_destroy(rules->allowed);
}

static struct address_limit *limit_of(uint32_t per_minute)
{
	return address_limit_create(
		&(struct address_limit_options){.per_minute = per_minute});
}

Test(tracker_announce, with_passkeys_only_who_has_one_may_ask)
{
	static struct announce_reply reply;
	struct announce_rules rules = open_rules();
	struct announce a = sample(1);
	struct span good = {(const uint8_t *)"secret1", 7};
	struct span bad = {(const uint8_t *)"secret2", 7};
	struct scrape_entry entry;
	size_t count = 0;
	struct error err;

	enter_empty_folder();
	FILE *f = fopen("keys", "w");
	cr_assert(f);
	fputs("secret1\n", f);
	cr_assert_eq(fclose(f), 0);
	rules.passkeys = passkeys_create("keys", &err);

	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect(strstr(reply.failure, "private"), "%s", reply.failure);
	announce_handle(&rules, &a, bad, 0, &reply);
	cr_expect(strstr(reply.failure, "passkey"), "%s", reply.failure);
	cr_expect_not(strstr(reply.failure, "secret"));
	cr_expect_not(announce_handle_scrape(
		&rules, &a.info_hash, 1, bad, &entry, &count, &err));
	cr_expect(announce_handle_scrape(
		&rules, &a.info_hash, 1, good, &entry, &count, &err));
	cr_expect_eq(entry.leechers, 0, "nothing was kept");
	announce_handle(&rules, &a, good, 0, &reply);
	cr_expect_str_eq(reply.failure, "");
	finish_rules(&rules);
}

Test(tracker_announce, an_address_may_announce_so_often)
{
	static struct announce_reply reply;
	struct announce_rules rules = open_rules();
	struct announce a = sample(1);
	struct announce other = sample(2);

	rules.announce_limit = limit_of(2);
	for (int i = 0; i < 2; i++) {
		announce_handle(&rules, &a, no_key, 0, &reply);
		cr_expect_str_eq(reply.failure, "");
	}
	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect(strstr(reply.failure, "too many announces"), "%s",
		reply.failure);
	cr_expect_eq(reply.retry_s, 30);
	announce_handle(&rules, &other, no_key, 0, &reply);
	cr_expect_str_eq(reply.failure, "");
	announce_handle(&rules, &a, no_key, 30, &reply);
	cr_expect_str_eq(reply.failure, "");
	finish_rules(&rules);
}

Test(tracker_announce, an_address_may_bring_so_many_torrents)
{
	static struct announce_reply reply;
	struct announce_rules rules = open_rules();
	struct announce a = sample(1);
	struct announce other = sample(2);

	rules.swarm_limit = limit_of(2);
	for (uint8_t i = 0; i < 3; i++) {
		a.info_hash.bytes[0] = i;
		announce_handle(&rules, &a, no_key, 0, &reply);
		cr_expect_eq(reply.failure[0] == '\0', i < 2);
	}
	cr_expect(strstr(reply.failure, "too many new torrents"), "%s",
		reply.failure);
	cr_expect_eq(reply.retry_s, 30);

	/* Those that are known go on, and so do others. */
	a.info_hash.bytes[0] = 1;
	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect_str_eq(reply.failure, "");
	other.info_hash.bytes[0] = 2;
	announce_handle(&rules, &other, no_key, 0, &reply);
	cr_expect_str_eq(reply.failure, "");
	a.info_hash.bytes[0] = 2; /* not a new one any more */
	announce_handle(&rules, &a, no_key, 0, &reply);
	cr_expect_str_eq(reply.failure, "");
	finish_rules(&rules);
}
