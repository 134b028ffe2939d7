#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/announce.h"
#include "shared/reader.h"
#include "shared/writer.h"
#include "tests/unit/guarded.h"
#include "tests/unit/temp_folder.h"
#include "tracker/state_file.h"
#include "tracker/state_format.h"
#include "tracker/store_memory.h"
#include "tracker/swarm_part.h"
#include "tracker/swarm_store.h"

enum { KEEP_S = 3600, MANY = 100000 };

static struct temp_folder folder;

static void enter(void) { folder = temp_folder_make(); }

static void leave(void) { temp_folder_remove(&folder); }

TestSuite(state_file, .init = enter, .fini = leave);

static struct swarm_store *fresh(void)
{
	struct swarm_store *store = store_memory_create(10 * MANY, KEEP_S);

	cr_assert(store);
	return store;
}

/* Peer `n` of a swarm, every third over IPv6, every fifth a seeder. */
static struct announce nth(uint32_t swarm, uint32_t n)
{
	struct announce a = {.left = n % 5 != 0, .numwant = 200};

	memcpy(a.info_hash.bytes, &swarm, sizeof(swarm));
	cr_assert(endpoint_parse(
		n % 3 ? "10.0.0.0:1" : "[2001:db8::]:1", &a.peer));
	a.peer.ip[13] = (uint8_t)(n >> 16);
	a.peer.ip[14] = (uint8_t)(n >> 8);
	a.peer.ip[15] = (uint8_t)n;
	return a;
}

static struct swarm_reply tell(
	struct swarm_store *store, const struct announce *a, uint64_t now_s)
{
	struct swarm_reply reply;
	struct error err = {""};

	cr_assert(swarm_store_announce(store, a, now_s, &reply, &err), "%s",
		err.text);
	return reply;
}

static struct swarm_counts counts_of(struct swarm_store *store, uint32_t swarm)
{
	struct info_hash hash = nth(swarm, 0).info_hash;
	struct swarm_counts counts;
	struct error err;

	cr_assert(swarm_store_scrape(store, &hash, 1, &counts, &err));
	return counts;
}

static struct swarm_totals sum(struct swarm_store *store)
{
	struct swarm_totals totals;
	struct error err;

	cr_assert(swarm_store_totals(store, &totals, &err));
	return totals;
}

static void save(struct swarm_store *store, uint64_t now_s, uint64_t wall_s)
{
	struct error err = {""};

	cr_assert(state_file_save("state", store,
			  &(struct state_times){now_s, wall_s}, NULL, &err),
		"%s", err.text);
	cr_expect_neq(access("state.new", F_OK), 0, "nothing is left behind");
}

static struct state_loaded load(
	struct swarm_store *store, uint64_t now_s, uint64_t wall_s)
{
	struct state_loaded loaded;
	struct error err = {""};

	cr_assert(state_file_load("state", store,
			  &(struct state_times){now_s, wall_s}, KEEP_S, &loaded,
			  &err),
		"%s", err.text);
	return loaded;
}

/* The whole file. */
static size_t read_file(uint8_t **ret)
{
	FILE *f = fopen("state", "r");

	cr_assert(f);
	cr_assert_eq(fseek(f, 0, SEEK_END), 0);
	size_t len = (size_t)ftell(f);
	rewind(f);
	*ret = malloc(len);
	cr_assert_eq(fread(*ret, 1, len, f), len);
	fclose(f);
	return len;
}

static void write_file(const uint8_t *bytes, size_t len)
{
	FILE *f = fopen("state", "w");

	cr_assert(f);
	cr_assert_eq(fwrite(bytes, 1, len, f), len);
	cr_assert_eq(fclose(f), 0);
}

Test(state_file, all_peers_are_there_again)
{
	struct swarm_store *before = fresh(), *after = fresh();
	static const uint32_t sizes[] = {1, 2, 3, 95, 97, 511, 512, 513, 30000};
	enum { SWARMS = sizeof(sizes) / sizeof(sizes[0]) };
	size_t all = 0;

	for (uint32_t s = 0; s < SWARMS; s++) {
		for (uint32_t n = 0; n < sizes[s]; n++) {
			struct announce a = nth(s, n);

			if (n % 7 == 0 && a.left == 0)
				a.event = ANNOUNCE_COMPLETED;
			tell(before, &a, 1000);
		}
		all += sizes[s];
	}
	for (uint32_t s = SWARMS; s < 5000; s++, all++)
		tell(before, &(struct announce[]){nth(s, s)}[0], 1000);
	save(before, 1000, 500000);

	struct state_loaded loaded = load(after, 77, 500000);
	cr_expect_str_eq(loaded.damage.text, "");
	cr_expect_eq(loaded.peers, all);
	cr_expect_eq(loaded.expired, 0);
	cr_expect_eq(sum(after).swarms, sum(before).swarms);
	cr_expect_eq(sum(after).seeders, sum(before).seeders);
	cr_expect_eq(sum(after).leechers, sum(before).leechers);
	for (uint32_t s = 0; s < 5000; s++) {
		struct swarm_counts a = counts_of(before, s);
		struct swarm_counts b = counts_of(after, s);

		cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0, "swarm %u", s);
	}

	/* Each is known: an announce adds nobody, and `completed` is counted
	 * once. */
	for (uint32_t n = 0; n < 513; n++) {
		struct announce a = nth(7, n);

		if (n % 7 == 0 && a.left == 0)
			a.event = ANNOUNCE_COMPLETED;
		struct swarm_counts had = counts_of(after, 7);
		struct swarm_counts has = tell(after, &a, 78).counts;
		cr_assert_eq(memcmp(&had, &has, sizeof(had)), 0, "peer %u", n);
	}

	/* And whom a peer is told of are the same. */
	struct announce asker = nth(3, 200001);
	cr_expect_eq(tell(after, &asker, 79).peer_count, 95);
	swarm_store_destroy(before);
	swarm_store_destroy(after);
}

Test(state_file, eight_bytes_are_for_a_peer_of_a_large_swarm)
{
	struct swarm_store *store = fresh();
	struct stat st;

	for (uint32_t n = 0; n < MANY; n++) {
		struct announce a = nth(0, 1);

		memcpy(a.peer.ip + 13, &n, 3);
		tell(store, &a, 1000);
	}
	save(store, 1000, 500000);
	cr_assert_eq(stat("state", &st), 0);
	cr_expect_lt(st.st_size, MANY * 8 * 11 / 10);
	cr_expect_eq(st.st_mode & 0777, 0600);
	swarm_store_destroy(store);
}

Test(state_file, ages_go_on_while_the_tracker_is_away)
{
	static const struct {
		uint64_t told_s; /* of 10000, when it is saved */
		uint64_t away_s;
		uint64_t left_s; /* that it is there; 0: none */
	} cases[] = {
		{10000, 0, KEEP_S},
		{10000, 600, KEEP_S - 600},
		{9000, 600, KEEP_S - 1600},
		{9000, 2300, KEEP_S - 3300},
		{10000, KEEP_S + 1, 0},
		{6300, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swarm_store *before = fresh(), *after = fresh();
		struct announce a = nth(0, 1);
		uint64_t now_s = 20; /* younger than the peer */
		uint64_t step_s = store_memory_step_s(after);
		struct error err;

		tell(before, &a, cases[i].told_s);
		save(before, 10000, 500000);
		struct state_loaded loaded =
			load(after, now_s, 500000 + cases[i].away_s);
		cr_expect_eq(loaded.peers, cases[i].left_s > 0, "case %zu", i);
		cr_expect_eq(loaded.expired, cases[i].left_s == 0);
		if (cases[i].left_s > 0) {
			swarm_store_expire(after,
				now_s + cases[i].left_s - step_s - KEEP_S,
				&err);
			cr_expect_eq(sum(after).leechers, 1, "case %zu", i);
		}
		swarm_store_expire(after,
			now_s + cases[i].left_s + 2 * step_s - KEEP_S, &err);
		cr_expect_eq(sum(after).leechers, 0, "case %zu", i);
		swarm_store_destroy(before);
		swarm_store_destroy(after);
	}
}

Test(state_file, a_calendar_that_went_back_makes_nobody_younger)
{
	struct swarm_store *before = fresh(), *after = fresh();
	struct announce a = nth(0, 1);
	struct error err;

	tell(before, &a, 9000);
	save(before, 10000, 500000);
	cr_expect_eq(load(after, 20000, 100).peers, 1);
	swarm_store_expire(after, 18880, &err);
	cr_expect_eq(sum(after).leechers, 1);
	swarm_store_expire(after, 19230, &err);
	cr_expect_eq(sum(after).leechers, 0);
	swarm_store_destroy(before);
	swarm_store_destroy(after);
}

Test(state_file, no_file_is_no_peers_and_no_error)
{
	struct swarm_store *store = fresh();
	struct state_loaded loaded = load(store, 1, 1);

	cr_expect_eq(loaded.peers, 0);
	cr_expect_str_eq(loaded.damage.text, "");
	save(store, 1, 1);
	loaded = load(store, 1, 1);
	cr_expect_str_eq(loaded.damage.text, "", "an empty one is good, too");
	swarm_store_destroy(store);
}

Test(state_file, a_full_store_takes_what_fits)
{
	struct swarm_store *before = fresh();
	struct swarm_store *after = store_memory_create(100, KEEP_S);

	for (uint32_t n = 0; n < 1000; n++)
		tell(before, &(struct announce[]){nth(n, n)}[0], 1000);
	save(before, 1000, 500000);
	cr_expect_eq(load(after, 1000, 500000).peers, 100);
	cr_expect_eq(sum(after).swarms, 100);
	swarm_store_destroy(before);
	swarm_store_destroy(after);
}

Test(state_file, a_cut_file_gives_what_is_before_the_cut, .timeout = 60)
{
	struct swarm_store *before = fresh();
	uint8_t *bytes;
	size_t last = 0;

	for (uint32_t n = 0; n < 30000; n++)
		tell(before, &(struct announce[]){nth(n % 3, n)}[0], 1000);
	save(before, 1000, 500000);
	size_t len = read_file(&bytes);
	for (size_t cut = 0; cut < len; cut += cut < 100 ? 1 : len / 50) {
		struct swarm_store *after = fresh();

		write_file(bytes, cut);
		struct state_loaded loaded = load(after, 1000, 500000);
		cr_expect(strstr(loaded.damage.text, "state: "), "%zu: %s", cut,
			loaded.damage.text);
		cr_expect_geq(loaded.peers, last);
		last = loaded.peers;
		swarm_store_destroy(after);
	}
	cr_expect_gt(last, 20000);
	free(bytes);
	swarm_store_destroy(before);
}

Test(state_file, a_flipped_bit_is_found_and_nothing_behind_it_believed,
	.timeout = 60)
{
	struct swarm_store *before = fresh();
	uint8_t *bytes;

	for (uint32_t n = 0; n < 30000; n++)
		tell(before, &(struct announce[]){nth(n % 3, n)}[0], 1000);
	save(before, 1000, 500000);
	size_t len = read_file(&bytes);
	for (size_t at = 0; at < len; at += at < 60 ? 1 : len / 100) {
		struct swarm_store *after = fresh();

		bytes[at] ^= 0x10;
		write_file(bytes, len);
		struct state_loaded loaded = load(after, 1000, 500000);
		cr_expect_str_neq(loaded.damage.text, "", "byte %zu", at);
		cr_expect_lt(loaded.peers, 30000);
		bytes[at] ^= 0x10;
		swarm_store_destroy(after);
	}
	free(bytes);
	swarm_store_destroy(before);
}

Test(state_file, what_is_no_state_is_told)
{
	static const struct {
		const char *bytes;
		const char *why;
	} cases[] = {
		{"", "too early"},
		{"hello", "too early"},
		{"d8:announce35:http://tracker.example/announcee", "not the"},
		{"tbtstate\0\0\0\2 padding padding padding", "version, 2,"},
		{"tbtstate\0\0\0\1 padding padding padding", "damaged"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swarm_store *store = fresh();

		write_file((const uint8_t *)cases[i].bytes,
			i < 2 ? strlen(cases[i].bytes) : 36);
		struct state_loaded loaded = load(store, 1, 1);
		cr_expect(strstr(loaded.damage.text, cases[i].why), "%s",
			loaded.damage.text);
		cr_expect_eq(loaded.peers, 0);
		swarm_store_destroy(store);
	}
}

Test(state_file, what_cannot_be_opened_is_an_error)
{
	struct swarm_store *store = fresh();
	struct state_times times = {1, 1};
	struct state_loaded loaded;
	struct error err = {""};

	cr_assert_eq(mkdir("dir", 0700), 0);
	cr_expect_not(state_file_load("dir", store, &times, 1, &loaded, &err));
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	cr_expect_not(state_file_load("fifo", store, &times, 1, &loaded, &err));
	cr_expect(strstr(err.text, "fifo: "), "%s", err.text);
	cr_expect_not(state_file_load(
		"nowhere/state", store, &times, 1, &loaded, &err));
	cr_expect_not(
		state_file_save("nowhere/state", store, &times, NULL, &err));
	cr_expect(strstr(err.text, "nowhere/state"), "%s", err.text);
	swarm_store_destroy(store);
}

Test(state_file, a_save_that_fails_or_is_cut_short_leaves_the_old_one)
{
	struct swarm_store *store = fresh();
	struct state_times times = {1000, 500000};
	atomic_bool stop = true;
	uint8_t *old, *now;
	struct error err;

	tell(store, &(struct announce[]){nth(0, 1)}[0], 1000);
	save(store, 1000, 500000);
	size_t len = read_file(&old);
	for (uint32_t n = 0; n < 30000; n++)
		tell(store, &(struct announce[]){nth(n, n)}[0], 1000);
	cr_expect_not(state_file_save("state", store, &times, &stop, &err));
	cr_expect_neq(access("state.new", F_OK), 0);
	cr_assert_eq(mkdir("state.new", 0700), 0);
	cr_expect_not(state_file_save("state", store, &times, NULL, &err));
	cr_expect_eq(read_file(&now), len);
	cr_expect_eq(memcmp(old, now, len), 0);
	free(old);
	free(now);
	swarm_store_destroy(store);
}

/* What a kill left there, or somebody put there. */
Test(state_file, what_is_in_the_way_is_neither_followed_nor_waited_for,
	.timeout = 20)
{
	struct swarm_store *store = fresh();
	struct state_times times = {1000, 500000};
	struct stat st;
	struct error err;

	cr_assert_eq(symlink("elsewhere", "state.new"), 0);
	cr_expect(state_file_save("state", store, &times, NULL, &err));
	cr_expect_neq(access("elsewhere", F_OK), 0);
	cr_assert_eq(mkfifo("state.new", 0600), 0);
	cr_expect(state_file_save("state", store, &times, NULL, &err));
	cr_expect(lstat("state", &st) == 0 && S_ISREG(st.st_mode));
	cr_expect_neq(access("state.new", F_OK), 0);
	swarm_store_destroy(store);
}

/* --- Parts --- */

static struct swarm_part sample_part(void)
{
	struct swarm_part part = {.completed = 7, .peer_count = 3};

	memset(part.info_hash.bytes, 0xab, INFO_HASH_SIZE);
	for (size_t i = 0; i < 3; i++) {
		part.peers[i] = (struct swarm_part_peer){
			.address = nth(0, (uint32_t)i + 1).peer,
			.age_s = (uint32_t)i * 60,
			.seeder = i == 1,
			.completed = i == 2,
		};
	}
	return part;
}

Test(state_file, a_part_is_read_as_it_was_written)
{
	static uint8_t bytes[STATE_PART_MAX];
	static struct swarm_part got;
	struct swarm_part part = sample_part();
	struct writer w = writer_of(bytes, sizeof(bytes));

	state_write_part(&w, &part, 60);
	cr_assert_not(w.bad);
	cr_expect_eq(writer_len(&w), 28 + 2 * 8 + 20);
	for (size_t len = 0; len < writer_len(&w); len++) {
		struct reader cut = guarded(bytes, len);

		cr_expect_not(state_read_part(&cut, 60, &got), "%zu", len);
	}
	struct reader r = guarded(bytes, writer_len(&w));
	cr_assert(state_read_part(&r, 60, &got));
	cr_expect(reader_done(&r));
	cr_expect(info_hash_equal(&got.info_hash, &part.info_hash));
	cr_expect_eq(got.completed, 7);
	cr_assert_eq(got.peer_count, 3);
	for (size_t i = 0; i < 3; i++) {
		/* The third is the one in IPv6, and last anyway. */
		cr_expect(endpoint_equal(
			&got.peers[i].address, &part.peers[i].address));
		cr_expect_eq(got.peers[i].age_s, part.peers[i].age_s);
		cr_expect_eq(got.peers[i].seeder, part.peers[i].seeder);
		cr_expect_eq(got.peers[i].completed, part.peers[i].completed);
	}
}

Test(state_file, parts_that_nobody_wrote_are_refused)
{
	static uint8_t bytes[STATE_PART_MAX];
	static struct swarm_part got;
	struct swarm_part part = sample_part();
	static const struct {
		size_t at;
		const char *change;
		size_t len;
	} cases[] = {
		{24, "\0\0\0\0", 4},         /* nobody */
		{24, "\2\1\0\0", 4},         /* 513 */
		{24, "\0\0\2\1", 4},         /* 513 */
		{24, "\xff\xff\xff\xff", 4}, /* a sum above 16 bits */
		{28, "\0\0\0\0\0\1", 6},     /* 0.0.0.0 */
		{28, "\xe0\0\0\1\0\1", 6},   /* multicast */
		{32, "\0\0", 2},             /* port 0 */
		{44, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4\0\1", 18}, /* IPv4 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct writer w = writer_of(bytes, sizeof(bytes));

		state_write_part(&w, &part, 60);
		memcpy(bytes + cases[i].at, cases[i].change, cases[i].len);
		struct reader r = guarded(bytes, writer_len(&w));
		cr_expect_not(state_read_part(&r, 60, &got), "case %zu", i);
	}
}

Test(state_file, an_age_beyond_all_is_the_greatest_there_is)
{
	static uint8_t bytes[STATE_PART_MAX];
	struct swarm_part part = sample_part();
	struct writer w = writer_of(bytes, sizeof(bytes));

	part.peers[0].age_s = UINT32_MAX;
	state_write_part(&w, &part, 2);
	struct reader r = reader_of(bytes, writer_len(&w));
	cr_assert(state_read_part(&r, 2, &part));
	cr_expect_eq(part.peers[0].age_s, 2 * STATE_AGE_MAX);
	cr_expect_not(part.peers[0].seeder);
}
