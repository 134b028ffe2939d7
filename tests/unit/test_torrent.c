/* What workers share of a torrent: what is wanted and had, who is woken, and
 * what becomes of requests when another brings the block or a peer leaves. */

#include "client/torrent/selection.h"
#include "tests/unit/torrent_lab.h"

/* Fetch the next piece whole from one peer. */
static void fetch(struct tester *t)
{
	struct endpoint guilty[8];
	struct open_piece *piece = NULL;

	cr_assert_gt(reserve(t, BLOCKS), 0);
	while (t->peer.pick.asked_count > 0)
		piece = receive(t, 0);
	cr_expect_eq(finish(piece, true, guilty), 0);
}

/* ---- what is wanted ---- */

/* Two files: the first ends in the middle of piece 4. */
static void select_file(const char *number, struct selection *ret)
{
	static struct metainfo_file files[2];
	struct selection_list list = {0};
	struct error err;

	files[0] = (struct metainfo_file){
		.path = "a", .length = 4 * BLOCKS * BLOCK_SIZE + 7};
	files[1] = (struct metainfo_file){
		.path = "b",
		.offset = files[0].length,
		.length = m.length - files[0].length,
	};
	m.name = "t";
	m.file_count = 2;
	m.files = files;
	cr_assert(selection_list_add(&list, number, &err));
	cr_assert(selection_choose(&list, &m, ret, &err));
	selection_list_finish(&list);
	cr_assert(torrent_select(torrent, ret));
}

Test(torrent, what_is_wanted_decides_what_is_complete)
{
	uint8_t good[PIECES] = {0, 0, 0, 0, 0, 1, 0, 1};
	uint8_t map[PIECES];
	struct selection selection;

	begin(PIECES, BLOCKS, 5);
	select_file("1", &selection);
	cr_expect_eq(torrent_wanted_count(torrent), 5);
	cr_expect_eq(torrent_wanted_bytes(torrent), m.files[0].length);
	torrent_set_have(torrent, good); /* from another time */
	cr_expect_eq(torrent_have_count(torrent), 0);
	cr_expect_eq(torrent_have_bytes(torrent), 0);
	cr_expect(torrent_has(torrent, 5));
	cr_expect_eq(torrent_first_missing(torrent), 0);

	memset(good, 1, 5);
	good[1] = 0;
	torrent_set_have(torrent, good);
	cr_expect_not(torrent_complete(torrent));
	cr_expect_eq(torrent_first_missing(torrent), 1);
	cr_expect_eq(torrent_have_bytes(torrent), 3 * BLOCKS * BLOCK_SIZE + 7);
	torrent_map(torrent, map, 5);
	cr_expect_arr_eq(map, ((uint8_t[]){255, 0, 255, 255, 255}), 5);
	torrent_map(torrent, map, 2);
	cr_expect_arr_eq(map, ((uint8_t[]){127, 255}), 2);
	torrent_map(torrent, map, 8);
	cr_expect_arr_eq(
		map, ((uint8_t[]){255, 255, 0, 0, 255, 255, 255, 255}), 8);

	good[1] = 1;
	torrent_set_have(torrent, good);
	cr_expect(torrent_complete(torrent));
	cr_expect_not(torrent_whole(torrent));
	cr_expect_eq(torrent_first_missing(torrent), PIECES);
	cr_expect_eq(torrent_have_bytes(torrent), m.files[0].length);
	cr_expect_not(torrent_has(torrent, 6));
	cr_expect(torrent_has(torrent, 7));
	torrent_lose(torrent, 7);
	cr_expect(torrent_complete(torrent));
	torrent_lose(torrent, 4);
	cr_expect_eq(torrent_have_bytes(torrent), 4 * BLOCKS * BLOCK_SIZE);
	end();
	selection_finish(&selection);
}

Test(torrent, only_wanted_pieces_are_fetched)
{
	struct selection selection;
	struct tester a;

	begin(PIECES, BLOCKS, 5);
	select_file("2", &selection);
	join(&a, 1);
	for (uint32_t i = 4; i < PIECES; i++) {
		cr_expect_not(torrent_complete(torrent));
		fetch(&a);
	}
	cr_expect(torrent_complete(torrent));
	cr_expect_eq(reserve(&a, 9), 0);
	cr_expect_eq(torrent_have_bytes(torrent), m.files[1].length);
	leave(&a);
	end();
	selection_finish(&selection);
}

/* ---- what is had ---- */

Test(torrent, counts_what_is_had)
{
	uint8_t good[PIECES] = {1, 0, 0, 0, 0, 0, 0, 1};

	begin(PIECES, BLOCKS, 5);
	cr_expect_eq(torrent_have_count(torrent), 0);
	torrent_set_have(torrent, good);
	torrent_set_have(torrent, good);
	cr_expect_eq(torrent_have_count(torrent), 2);
	cr_expect_eq(torrent_have_bytes(torrent), BLOCKS * BLOCK_SIZE + 5);
	cr_expect(torrent_has(torrent, 7));
	cr_expect_not(torrent_has(torrent, 6));
	torrent_lose(torrent, 7);
	torrent_lose(torrent, 7);
	torrent_lose(torrent, 3);
	cr_expect_eq(torrent_have_count(torrent), 1);
	cr_expect_eq(torrent_have_bytes(torrent), BLOCKS * BLOCK_SIZE);
	cr_expect_not(torrent_has(torrent, 7));
	memset(good, 1, sizeof(good));
	torrent_set_have(torrent, good);
	cr_expect(torrent_complete(torrent));
	cr_expect_eq(torrent_have_bytes(torrent), m.length);
	cr_expect(torrent_has(torrent, 7));
	cr_expect_not(torrent_has(torrent, PIECES));
	end();
}

Test(torrent, news_is_a_log_that_each_reads_at_its_own_pace)
{
	uint8_t good[PIECES] = {0, 1};
	struct tester a;
	struct bitfield have;
	uint32_t pieces[PIECES];
	size_t at = 0, late;

	begin(PIECES, BLOCKS, BLOCK_SIZE);
	torrent_set_have(torrent, good); /* known from the start: no news */
	join(&a, 1);
	cr_expect_not(torrent_has_news(torrent, 0));
	cr_expect_eq(torrent_news(torrent, &at, pieces, PIECES), 0);
	for (unsigned i = 0; i < 3; i++)
		fetch(&a);
	cr_expect(torrent_has_news(torrent, 0));

	cr_expect_eq(torrent_news(torrent, &at, pieces, 2), 2);
	cr_expect(pieces[0] == 0 && pieces[1] == 2);
	cr_assert(bitfield_init(&have, PIECES));
	torrent_have(torrent, &have, &late);
	cr_expect_eq(have.set, 4);
	cr_expect_not(torrent_has_news(torrent, late));
	fetch(&a);
	cr_expect_eq(torrent_news(torrent, &at, pieces, PIECES), 2);
	cr_expect(pieces[0] == 3 && pieces[1] == 4);
	cr_expect_eq(torrent_news(torrent, &late, pieces, PIECES), 1);
	cr_expect_eq(pieces[0], 4);
	cr_expect_eq(torrent_news(torrent, &late, pieces, PIECES), 0);
	bitfield_finish(&have);
	leave(&a);
	end();
}

Test(torrent, a_lost_piece_can_be_had_again_and_is_news_again)
{
	struct tester a;
	uint32_t pieces[4];
	size_t at = 0, asleep = 0;

	begin(2, BLOCKS, BLOCKS * BLOCK_SIZE);
	join(&a, 1);
	fetch(&a);
	fetch(&a);
	cr_expect_eq(torrent_news(torrent, &at, pieces, 4), 2);
	for (unsigned i = 0; i < 3; i++) {
		torrent_lose(torrent, i % 2);
		cr_expect_not(torrent_complete(torrent));
		cr_expect_eq(torrent_news(torrent, &at, pieces, 4), 0);
		fetch(&a);
		cr_expect(torrent_complete(torrent));
		cr_expect_eq(torrent_news(torrent, &at, pieces, 4), 1);
		cr_expect_eq(pieces[0], i % 2);
	}
	/* The log is no longer than the torrent: the latest are there. */
	cr_expect_eq(torrent_news(torrent, &asleep, pieces, 4), 2);
	cr_expect(pieces[0] == 1 && pieces[1] == 0);
	cr_expect_not(torrent_has_news(torrent, asleep));
	leave(&a);
	end();
}

Test(torrent, the_map_shows_the_share_of_each_stretch)
{
	static const struct {
		uint32_t pieces;
		uint32_t had; /* the first so many */
		size_t cells;
		uint8_t first, middle, last;
	} cases[] = {
		{1, 0, 1, 0, 0, 0},
		{1, 1, 1, 255, 255, 255},
		{1, 1, 7, 255, 255, 255},
		{2, 1, 3, 255, 255, 0},
		{2, 1, 2, 255, 0, 0},
		{2, 1, 1, 127, 127, 127},
		{64, 64, 1, 255, 255, 255},
		{64, 63, 1, 251, 251, 251},
		{65, 64, 65, 255, 255, 0},
		{128, 64, 2, 255, 0, 0},
		{129, 65, 3, 255, 130, 0},
		{200, 100, 3, 255, 129, 0},
		{1000, 1000, 10, 255, 255, 255},
		{1000, 550, 10, 255, 127, 0},
		{1000, 0, 0, 99, 99, 99},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t good[1000] = {0}, map[100];
		size_t cells = cases[i].cells;

		memset(map, 99, sizeof(map));
		memset(good, 1, cases[i].had);
		begin(cases[i].pieces, 1, BLOCK_SIZE);
		torrent_set_have(torrent, good);
		torrent_map(torrent, map, cells);
		cr_expect_eq(map[0], cases[i].first, "case %zu: %u", i, map[0]);
		cr_expect_eq(map[cells / 2], cases[i].middle, "case %zu: %u", i,
			map[cells / 2]);
		cr_expect_eq(map[cells ? cells - 1 : 0], cases[i].last,
			"case %zu", i);
		cr_expect_eq(map[cells], 99, "case %zu", i);
		end();
	}
}

/* ---- who is woken ---- */

Test(torrent, each_sleeper_is_woken_once)
{
	enum { CROWD = 150 }; /* more than are woken in one round */
	static struct tester crowd[CROWD];
	struct tester a;

	begin(PIECES, BLOCKS, BLOCK_SIZE);
	for (unsigned i = 0; i < CROWD; i++) {
		join(&crowd[i], (uint8_t)i);
		torrent_sleeping(&crowd[i].peer, i % 3 != 0);
	}
	join(&a, 200);
	fetch(&a);
	for (unsigned i = 0; i < CROWD; i++)
		cr_expect_eq(wakes(&crowd[i]), i % 3 != 0, "%u", i);
	fetch(&a); /* woken already, and not asleep again */
	for (unsigned i = 0; i < CROWD; i++)
		cr_expect_eq(wakes(&crowd[i]), 0, "%u", i);
	torrent_sleeping(&crowd[7].peer, true);
	torrent_sleeping(&crowd[8].peer, true);
	torrent_sleeping(&crowd[8].peer, false);
	fetch(&a);
	cr_expect_eq(wakes(&crowd[7]), 1);
	cr_expect_eq(wakes(&crowd[8]), 0);
	leave(&a);
	for (unsigned i = 0; i < CROWD; i++)
		leave(&crowd[i]);
	end();
}

/* What makes blocks free to be asked for: each must wake `b`. */
static void a_releases(struct tester *a)
{
	a->peer.pick.asked_count--;
	torrent_release(torrent, &a->peer, &a->asked[a->peer.pick.asked_count],
		1, false);
}

static void a_rests(struct tester *a)
{
	torrent_release(torrent, &a->peer, NULL, 0, true);
}

static void a_leaves(struct tester *a)
{
	torrent_leave(torrent, &a->peer);
	a->peer.pick.asked_count = 0;
	torrent_join(torrent, &a->peer);
}

static void piece_of_a_fails(struct tester *a)
{
	struct endpoint guilty[8];

	reserve(a, BLOCKS);
	cr_expect_eq(finish(receive_piece(a), false, guilty), 1);
	torrent_leave(torrent, &a->peer);
	torrent_join(torrent, &a->peer);
}

static void piece_of_a_is_abandoned(struct tester *a)
{
	reserve(a, BLOCKS);
	torrent_abandon_piece(torrent, receive_piece(a));
}

Test(torrent, nobody_sleeps_while_there_are_blocks_to_ask_for)
{
	static void (*const ways[])(struct tester *) = {a_releases, a_rests,
		a_leaves, piece_of_a_fails, piece_of_a_is_abandoned};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct tester a, b;

		begin(2, BLOCKS, BLOCKS * BLOCK_SIZE);
		join(&a, 1);
		join(&b, 2);
		reserve(&a, 2);

		torrent_sleeping(&b.peer, true);
		cr_expect_not(torrent_peer_has_letters(&b.peer));
		ways[i](&a);
		cr_expect_eq(wakes(&b), 1, "way %zu", i);
		torrent_sleeping(&b.peer, false);
		leave(&a);

		/* It was about to sleep: it must look once more. */
		join(&a, 1);
		reserve(&a, 2);
		torrent_sleeping(&b.peer, false);
		cr_expect_not(torrent_peer_has_letters(&b.peer));
		ways[i](&a);
		torrent_sleeping(&b.peer, true);
		cr_expect(torrent_peer_has_letters(&b.peer), "way %zu", i);
		torrent_sleeping(&b.peer, false);
		cr_expect_not(torrent_peer_has_letters(&b.peer));
		leave(&a);
		leave(&b);
		end();
	}
}

Test(torrent, a_peer_that_gives_nothing_back_wakes_nobody)
{
	struct tester a, b;

	begin(2, BLOCKS, BLOCK_SIZE);
	join(&a, 1);
	join(&b, 2);
	torrent_sleeping(&b.peer, true);
	torrent_release(torrent, &a.peer, NULL, 0, true);
	torrent_release(torrent, &a.peer, NULL, 0, false);
	cr_expect_eq(wakes(&b), 0);
	leave(&a);
	leave(&b);
	end();
}

/* ---- pruning ---- */

static size_t prune_all(struct tester *t, size_t places[MAX_ASKED])
{
	return torrent_prune(torrent, &t->peer, MAX_ASKED, places, MAX_ASKED);
}

Test(torrent, what_another_brought_is_pruned)
{
	struct tester a, b, c;
	size_t places[MAX_ASKED];

	begin(1, BLOCKS, BLOCKS * BLOCK_SIZE);
	join(&a, 1);
	join(&b, 2);
	join(&c, 3);
	cr_expect_eq(reserve(&a, 8), BLOCKS);
	cr_expect_eq(reserve(&b, 8), BLOCKS);
	cr_expect_eq(prune_all(&b, places), 0);
	torrent_sleeping(&b.peer, true);
	receive(&a, 1);
	receive(&a, 1);
	cr_expect_eq(wakes(&b), 1);
	cr_expect(torrent_peer_has_letters(&b.peer));
	cr_expect_eq(prune_all(&b, places), 2);
	cr_expect(places[0] == 0 && places[1] == 1);
	torrent_sleeping(&b.peer, false);
	cr_expect_not(torrent_peer_has_letters(&b.peer));
	cr_expect_eq(prune_all(&b, places), 0);
	cr_expect_eq(prune_all(&a, places), 0);

	/* Full and with a finisher: not wanted either. */
	receive(&a, 1);
	struct open_piece *piece = receive(&a, 1);
	cr_expect_eq(prune_all(&b, places), 4);
	struct endpoint guilty[8];
	cr_expect_eq(finish(piece, true, guilty), 0);
	leave(&a);
	leave(&b);
	leave(&c);
	end();
}

Test(torrent, what_a_leech_offers_is_taken_from_backlogs_but_what_is_due)
{
	static const struct {
		bool backlogged, open;
		size_t due, pruned;
	} cases[] = {
		{true, true, 0, 4},
		{true, true, 5, 3},
		{true, true, 8, 0},
		{true, false, 0, 0},
		{false, true, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tester seed, leech;
		size_t places[MAX_ASKED];

		begin(4, BLOCKS, BLOCK_SIZE);
		join(&seed, 1);
		join_leech(&leech, 2);
		cr_expect_eq(reserve(&seed, 8), 8); /* pieces 0 and 1 */
		seed.peer.backlogged = cases[i].backlogged;
		torrent_sleeping(&seed.peer, true);
		bitfield_set(&leech.peer.pick.has, 1);
		leech.peer.pick.proven = true;
		torrent_peer_has_piece(torrent, &leech.peer, 1, cases[i].open);
		cr_expect_eq(wakes(&seed), cases[i].backlogged && cases[i].open,
			"%zu", i);

		size_t count = torrent_prune(
			torrent, &seed.peer, cases[i].due, places, MAX_ASKED);
		cr_expect_eq(count, cases[i].pruned, "%zu", i);
		for (size_t j = 0; j < count; j++)
			cr_expect_eq(places[j], 8 - count + j);
		leave(&seed);
		leave(&leech);
		end();
	}
}

/* ---- joining and leaving ---- */

Test(torrent, what_was_asked_of_a_peer_that_leaves_is_asked_of_others)
{
	struct tester a, b;

	begin(1, BLOCKS, BLOCKS * BLOCK_SIZE);
	join(&a, 1);
	join(&b, 2);
	reserve(&a, 3);
	receive(&a, 1);
	leave(&a);
	cr_expect_eq(reserve(&b, 8), BLOCKS - 1);
	cr_expect_eq(b.asked[0].index, 1);
	leave(&b);
	end();
}

Test(torrent, blocks_nobody_wants_stay_the_senders)
{
	uint8_t good[2] = {1, 0};
	struct tester a;
	struct arrival arrivals[2] = {{.block = {0, 0}}, {.block = {1, 0}}};
	struct open_piece *full[2];

	begin(2, BLOCKS, BLOCK_SIZE);
	torrent_set_have(torrent, good);
	join(&a, 1);
	for (unsigned i = 0; i < 2; i++)
		block_pool_take(pool, &arrivals[i].memory, 1);
	cr_expect_eq(torrent_receive(torrent, &a.peer, arrivals, 2, full), 0);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(arrivals[i].memory);
		block_pool_give(pool, &arrivals[i].memory, 1);
	}
	leave(&a);
	end();
}
