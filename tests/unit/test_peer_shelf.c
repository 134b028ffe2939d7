#include <criterion/criterion.h>
#include <limits.h>

#include "client/session/host_book.h"
#include "client/session/peer_shelf.h"

enum { MANY = 100000 };

/* Each test is a process of its own. */
static struct host_book *hosts;
static struct peer_shelf shelf;

static void begin(void)
{
	hosts = host_book_create(1);
	cr_assert(hosts);
	peer_shelf_init(&shelf, hosts, 1);
}

static void end(void)
{
	peer_shelf_finish(&shelf);
	host_book_destroy(hosts);
}

/* 10.0.0.1 and so many ports. */
static struct endpoint at(unsigned port)
{
	return (struct endpoint){
		.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
		.port = (uint16_t)port,
	};
}

static struct peer_entry *find(unsigned port)
{
	struct endpoint e = at(port);

	return peer_shelf_find(&shelf, &e);
}

static struct peer_entry *add_one(
	unsigned port, enum peer_rank rank, size_t most)
{
	struct endpoint e = at(port);

	return peer_shelf_add(&shelf, &e, rank, most);
}

/* One more that waits. */
static struct peer_entry *wait_for(
	unsigned port, enum peer_rank rank, unsigned failures, uint64_t due_ms)
{
	struct peer_entry *e = add_one(port, rank, MANY);

	cr_assert(e);
	e->failures = failures;
	e->due.due_ms = due_ms;
	peer_shelf_put_down(&shelf, e);
	return e;
}

/* The port of the first one; 0: nobody waits. */
static unsigned first(enum peer_rank rank)
{
	const struct peer_entry *e = peer_shelf_first(&shelf, rank);

	return e ? e->address.port : 0;
}

Test(peer_shelf, an_address_is_found_by_ip_and_port)
{
	struct endpoint other = at(1);

	begin();
	cr_expect_null(find(1));
	struct peer_entry *e = wait_for(1, RANK_FRESH, 0, 0);
	cr_expect_eq(find(1), e);
	cr_expect_null(find(2));
	other.ip[15] = 2;
	cr_expect_null(peer_shelf_find(&shelf, &other));
	peer_shelf_pick_up(&shelf, e);
	cr_expect_eq(find(1), e);
	end();
}

Test(peer_shelf, in_each_rank_the_first_due_comes_first)
{
	begin();
	wait_for(1, RANK_FRESH, 0, 300);
	struct peer_entry *e = wait_for(2, RANK_FRESH, 0, 100);
	wait_for(3, RANK_FRESH, 0, 100);
	wait_for(4, RANK_USER, 0, 900);
	cr_expect_eq(first(RANK_USER), 4);
	cr_expect_eq(first(RANK_PROVEN), 0);
	cr_expect_eq(first(RANK_FRESH), 2); /* it came before 3 */

	peer_shelf_put_off(&shelf, e, 200);
	cr_expect_eq(first(RANK_FRESH), 3);
	peer_shelf_pick_up(&shelf, find(3));
	cr_expect_eq(first(RANK_FRESH), 2);

	/* It changes its rank. */
	peer_shelf_pick_up(&shelf, e);
	cr_expect_eq(first(RANK_FRESH), 1);
	e->rank = RANK_PROVEN;
	peer_shelf_put_down(&shelf, e);
	cr_expect_eq(first(RANK_FRESH), 1);
	cr_expect_eq(first(RANK_PROVEN), 2);
	end();
}

Test(peer_shelf, the_longest_failing_makes_room)
{
	static const struct {
		enum peer_rank rank[3];
		unsigned failures[3];
		unsigned goes; /* 1 to 3; 0: nobody */
	} cases[] = {
		{{RANK_TRIED, RANK_TRIED, RANK_TRIED}, {0, 2, 1}, 2},
		/* The one that has waited longest. */
		{{RANK_TRIED, RANK_TRIED, RANK_TRIED}, {0, 0, 0}, 1},
		{{RANK_TRIED, RANK_TRIED, RANK_TRIED}, {9, 10, 11}, 2},
		{{RANK_TRIED, RANK_TRIED, RANK_TRIED}, {10, 9, UINT_MAX}, 1},
		/* None of another rank. */
		{{RANK_USER, RANK_TRIED, RANK_PROVEN}, {50, 0, 50}, 2},
		{{RANK_USER, RANK_FRESH, RANK_PROVEN}, {50, 50, 50}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin();
		for (unsigned n = 0; n < 3; n++)
			wait_for(n + 1, cases[i].rank[n], cases[i].failures[n],
				10 - n);
		cr_expect_eq(add_one(4, RANK_FRESH, 3) != NULL,
			cases[i].goes != 0, "%zu", i);
		for (unsigned n = 1; n <= 3; n++)
			cr_expect_eq(find(n) == NULL, n == cases[i].goes,
				"%zu: %u", i, n);
		cr_expect_eq(find(4) != NULL, cases[i].goes != 0, "%zu", i);
		end();
	}
}

Test(peer_shelf, who_is_picked_up_makes_no_room)
{
	begin();
	struct peer_entry *e = wait_for(1, RANK_TRIED, 7, 0);
	peer_shelf_pick_up(&shelf, e);
	cr_expect_null(add_one(2, RANK_USER, 1));
	e->failures = 8;
	peer_shelf_put_down(&shelf, e);
	cr_expect(add_one(2, RANK_USER, 1));
	cr_expect_null(find(1));
	cr_expect_eq(first(RANK_TRIED), 0);
	end();
}

Test(peer_shelf, all_of_many_are_kept_and_may_be_of_one_rank)
{
	enum { COUNT = 5000 };
	size_t seen = 0;

	begin();
	cr_expect_null(peer_shelf_next(&shelf, NULL));
	for (unsigned i = 1; i <= COUNT; i++)
		wait_for(i, i % RANKS, i % 13, COUNT - i);
	for (struct peer_entry *e = NULL;
		(e = peer_shelf_next(&shelf, e)) != NULL; seen++) {
		peer_shelf_pick_up(&shelf, e);
		e->rank = RANK_PROVEN;
		peer_shelf_put_down(&shelf, e);
	}
	cr_expect_eq(seen, COUNT);
	for (unsigned i = COUNT; i > 0; i--) {
		cr_assert_eq(first(RANK_PROVEN), i);
		peer_shelf_pick_up(&shelf, find(i));
	}
	cr_expect_eq(first(RANK_PROVEN), 0);
	end();
}
