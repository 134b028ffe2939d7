#include "client/session/choker.h"

#include <stdlib.h>

#include "client/torrent/block.h"
#include "shared/dice.h"

enum {
	OPTIMISTIC_SHARE = 5, /* one slot of so many is dealt by chance */
	NEWCOMER_WEIGHT = 3,
	MAX_WAIT_WEIGHT = 10,
	/* Who has a slot keeps it when others give no more than a quarter more:
	 * rates are never quite alike. */
	STAY_BONUS = 4,
	/* Between looks at the rate, with a limit: so long that several blocks
	 * fit. */
	METER_MS = 2000,
	METER_BLOCKS = 8,
	METER_MAX_MS = 30 * 1000,
	METER_UNLIMITED_MS = 400,
	REST_ROUNDS = 3, /* after more slots were tried in vain */
	/* So many times the slots that the rate feeds are too many. */
	WELL_FED = 4,
};

/* Counters at a round. */
struct mark {
	uint64_t at_ms, gave, took;
};

struct seat {
	uint64_t since_ms;     /* as the peer's: whose seat it is */
	bool unchoked;         /* or would be if it were interested */
	bool optimistic;       /* by chance, until the next deal */
	bool served;           /* was unchoked before: no newcomer */
	bool chosen;           /* in the round that is under way */
	uint64_t changed_ms;   /* choked or unchoked since */
	uint64_t waits_ms;     /* interested and choked since; 0: not */
	uint64_t gave, took;   /* when last looked at */
	uint64_t took_ms;      /* when it last took something; 0: never */
	struct mark marks[2];  /* of the last round, and of that before */
	uint64_t gives, takes; /* bytes a second, by the marks */
};

/* How a peer compares with others for a slot: less is better. */
struct rank {
	unsigned index;
	unsigned class;
	uint64_t order;
};

/* Finds out how many slots there should be. */
struct meter {
	uint64_t limit;
	unsigned slots, most;

	uint64_t looked_ms, looked_bytes; /* 0: not yet */
	bool busy;                        /* the limit is reached */

	uint64_t round_ms, round_bytes; /* of the last round */
	unsigned tried_from;            /* more are being tried; 0: not */
	uint64_t tried_rate;            /* the rate before */
	unsigned rest;                  /* rounds until it is tried again */
};

struct choker {
	unsigned capacity;
	uint64_t dice;
	uint64_t round_ms; /* the last one; 0: none yet */
	uint64_t deal_ms;  /* the optimistic ones were dealt */
	struct meter meter;
	struct rank *ranks; /* room for `capacity` */
	struct seat seats[];
};

/* ---- how many ---- */

static unsigned least_slots(const struct meter *m, uint64_t rate)
{
	uint64_t floor =
		m->limit > 0 ? CHOKER_LEAST_SLOTS : CHOKER_LEAST_UNLIMITED;
	uint64_t fed = m->limit > 0 ? m->limit / (4 * CHOKER_SLOT_RATE)
				    : rate / CHOKER_SLOT_RATE;

	if (fed < floor)
		fed = floor;
	return fed < m->most ? (unsigned)fed : m->most;
}

static void raise_to(struct meter *m, unsigned slots)
{
	m->slots = slots < m->most ? slots : m->most;
}

static uint64_t meter_ms(const struct meter *m)
{
	uint64_t ms = METER_MS;

	if (m->limit == 0)
		return METER_UNLIMITED_MS;
	if (ms < METER_BLOCKS * BLOCK_SIZE * UINT64_C(1000) / m->limit)
		ms = METER_BLOCKS * BLOCK_SIZE * UINT64_C(1000) / m->limit;
	return ms < METER_MAX_MS ? ms : METER_MAX_MS;
}

/* `wanting`: all slots are used and somebody waits. */
static void meter_look(
	struct meter *m, uint64_t uploaded, uint64_t now_ms, bool wanting)
{
	uint64_t passed = now_ms - m->looked_ms;

	if (m->looked_ms == 0) {
		m->looked_ms = m->round_ms = now_ms;
		m->looked_bytes = m->round_bytes = uploaded;
	}
	if (m->looked_ms == now_ms || passed < meter_ms(m))
		return;
	uint64_t rate = (uploaded - m->looked_bytes) * 1000 / passed;
	m->looked_ms = now_ms;
	m->looked_bytes = uploaded;
	m->busy = m->limit > 0 && rate >= m->limit - m->limit / 4;

	if (m->slots < least_slots(m, rate))
		raise_to(m, least_slots(m, rate));
	if (m->limit > 0 && wanting && !m->busy)
		raise_to(m, m->slots + (m->slots + 1) / 2);
}

/* Did the slots that are being tried bring what they should? */
static void judge_trial(struct meter *m, uint64_t rate)
{
	unsigned more = m->slots - m->tried_from;
	uint64_t gain = rate > m->tried_rate ? rate - m->tried_rate : 0;

	if (gain * 2 * m->tried_from < m->tried_rate * more) {
		m->slots = m->tried_from;
		m->rest = REST_ROUNDS;
	}
	m->tried_from = 0;
}

static void meter_round(
	struct meter *m, uint64_t uploaded, uint64_t now_ms, bool wanting)
{
	uint64_t passed = now_ms - m->round_ms;
	uint64_t rate =
		passed > 0 ? (uploaded - m->round_bytes) * 1000 / passed : 0;
	unsigned least = least_slots(m, rate);

	m->round_ms = now_ms;
	m->round_bytes = uploaded;
	if (m->limit > 0) {
		if (m->busy)
			m->slots -= (m->slots + 7) / 8;
	} else if (m->tried_from > 0) {
		judge_trial(m, rate);
	} else if (m->rest > 0) {
		m->rest--;
	} else if (wanting && m->slots > WELL_FED * least) {
		m->slots -= (m->slots + 7) / 8;
	} else if (wanting) {
		m->tried_from = m->slots;
		m->tried_rate = rate;
		raise_to(m, m->slots + (m->slots + 3) / 4);
	}
	if (m->slots < least)
		m->slots = least;
}

/* ---- whom ---- */

struct choker *choker_create(
	unsigned capacity, uint64_t upload_limit, uint64_t seed)
{
	struct choker *c =
		calloc(1, sizeof(*c) + capacity * sizeof(c->seats[0]));

	if (!c)
		return NULL;
	c->ranks = calloc(capacity, sizeof(*c->ranks));
	if (!c->ranks) {
		free(c);
		return NULL;
	}
	c->capacity = capacity;
	c->dice = seed;
	c->meter.limit = upload_limit;
	c->meter.most = capacity;
	c->meter.slots = least_slots(&c->meter, 0);
	return c;
}

void choker_destroy(struct choker *c)
{
	if (!c)
		return;
	free(c->ranks);
	free(c);
}

bool choker_grants(const struct choker *c, unsigned peer)
{
	return c->seats[peer].unchoked;
}

unsigned choker_slots(const struct choker *c) { return c->meter.slots; }

static bool waits(const struct seat *s) { return s->waits_ms != 0; }

static bool is_idle(
	const struct seat *s, const struct choker_peer *p, uint64_t now_ms)
{
	return !p->asks && now_ms - s->took_ms >= CHOKER_IDLE_MS &&
		now_ms - s->changed_ms >= CHOKER_IDLE_MS;
}

static bool uses_slot(
	const struct seat *s, const struct choker_peer *p, uint64_t now_ms)
{
	bool takes = s->took_ms >= s->changed_ms &&
		now_ms - s->took_ms < CHOKER_IDLE_MS;
	bool begins = now_ms - s->changed_ms < CHOKER_BEGIN_MS;

	return s->unchoked && p->interested && (p->asks || takes || begins);
}

/* It was granted one before it wanted it, and may do so any moment. */
static bool expects_slot(
	const struct seat *s, const struct choker_peer *p, uint64_t now_ms)
{
	return s->unchoked && !p->interested &&
		now_ms - s->changed_ms < CHOKER_IDLE_MS;
}

static void look_at(
	struct seat *s, const struct choker_peer *p, uint64_t now_ms)
{
	if (s->since_ms != p->since_ms || p->gave < s->gave ||
		p->took < s->took) {
		struct mark start = {.at_ms = p->since_ms};

		*s = (struct seat){.since_ms = p->since_ms,
			.changed_ms = p->since_ms,
			.marks = {start, start}};
	}
	if (p->took > s->took)
		s->took_ms = now_ms;
	s->gave = p->gave;
	s->took = p->took;
	if (!p->interested || s->unchoked)
		s->waits_ms = 0;
	else if (s->waits_ms == 0)
		s->waits_ms = now_ms;
	if (p->interested && s->unchoked)
		s->served = true;
}

static void measure(
	struct seat *s, const struct choker_peer *p, uint64_t now_ms)
{
	const struct mark *from = &s->marks[1];
	uint64_t passed = now_ms - from->at_ms;

	/* A burst of who has just come is no rate. */
	if (passed < 1000)
		passed = 1000;
	s->gives = (p->gave - from->gave) * 1000 / passed;
	s->takes = (p->took - from->took) * 1000 / passed;
	s->marks[1] = s->marks[0];
	s->marks[0] = (struct mark){now_ms, p->gave, p->took};
}

static void set_unchoked(struct seat *s, bool unchoked, uint64_t now_ms)
{
	if (s->unchoked == unchoked)
		return;
	s->unchoked = unchoked;
	s->changed_ms = now_ms;
	s->waits_ms = 0;
	if (!unchoked)
		s->optimistic = false;
}

enum {
	CLASS_GIVES,
	CLASS_IN_TURN,
	CLASS_WAITS,
	CLASS_TURN_OVER,
	CLASS_IDLE,
	CLASS_SNUBS,
};

static struct rank rank_of(const struct seat *s, const struct choker_peer *p,
	unsigned index, uint64_t now_ms)
{
	struct rank r = {.index = index, .class = CLASS_WAITS};

	if (p->snubs && !p->we_seed) {
		r.class = CLASS_SNUBS;
	} else if (s->unchoked && is_idle(s, p, now_ms)) {
		r.class = CLASS_IDLE;
	} else if (!p->we_seed && s->gives > 0) {
		bool stays = s->unchoked && !s->optimistic;
		uint64_t bonus = stays ? s->gives / STAY_BONUS : 0;
		r.class = CLASS_GIVES;
		r.order = UINT64_MAX - (s->gives + bonus);
	} else if (!s->unchoked) {
		r.order = s->waits_ms;
	} else if (now_ms - s->changed_ms < CHOKER_TURN_MS) {
		r.class = CLASS_IN_TURN;
		r.order = s->changed_ms;
	} else {
		r.class = CLASS_TURN_OVER;
		r.order = UINT64_MAX - s->takes;
	}
	return r;
}

static int by_rank(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

/* Those that are interested, the best first; with `waiting_only`, those of them
 * that are choked. */
static unsigned rank_all(struct choker *c, const struct choker_peer *peers,
	uint64_t now_ms, bool waiting_only)
{
	unsigned count = 0;

	for (unsigned i = 0; i < c->capacity; i++) {
		if (peers[i].interested &&
			(!waiting_only || waits(&c->seats[i])))
			c->ranks[count++] =
				rank_of(&c->seats[i], &peers[i], i, now_ms);
	}
	qsort(c->ranks, count, sizeof(c->ranks[0]), by_rank);
	return count;
}

/* ---- by chance ---- */

static uint64_t chances(const struct seat *s, uint64_t now_ms)
{
	uint64_t turns = 1 + (now_ms - s->waits_ms) / CHOKER_TURN_MS;

	if (turns > MAX_WAIT_WEIGHT)
		turns = MAX_WAIT_WEIGHT;
	return turns * (s->served ? 1 : NEWCOMER_WEIGHT);
}

/* One of those that wait and are not chosen yet; NULL: there is none. */
static struct seat *draw(struct choker *c, uint64_t now_ms)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->capacity; i++) {
		const struct seat *s = &c->seats[i];
		if (waits(s) && !s->chosen)
			sum += chances(s, now_ms);
	}
	if (sum == 0)
		return NULL;

	uint64_t number = dice_roll(&c->dice) % sum;
	for (unsigned i = 0; i < c->capacity; i++) {
		struct seat *s = &c->seats[i];
		if (!waits(s) || s->chosen)
			continue;
		if (number < chances(s, now_ms))
			return s;
		number -= chances(s, now_ms);
	}
	return NULL;
}

/* Choose `room` more by chance: who has a turn by chance keeps it to its end.
 * Returns how many there was nobody for. */
static unsigned choose_optimistic(
	struct choker *c, unsigned ranked, unsigned room, uint64_t now_ms)
{
	bool deal = now_ms - c->deal_ms >= CHOKER_TURN_MS;

	if (deal)
		c->deal_ms = now_ms;
	for (unsigned i = 0; i < ranked; i++) {
		struct seat *s = &c->seats[c->ranks[i].index];

		s->optimistic =
			s->optimistic && !deal && !s->chosen && room > 0;
		if (s->optimistic) {
			s->chosen = true;
			room--;
		}
	}
	for (; room > 0; room--) {
		struct seat *s = draw(c, now_ms);
		if (!s)
			break;
		s->chosen = s->optimistic = true;
	}
	return room;
}

/* ---- the round ---- */

/* Choose the best `room` of those that are not yet. */
static void choose_best(struct choker *c, unsigned ranked, unsigned room)
{
	for (unsigned i = 0; i < ranked && room > 0; i++) {
		struct seat *s = &c->seats[c->ranks[i].index];

		room -= !s->chosen;
		s->chosen = true;
	}
}

/* More want slots than there are: who is to have them until the next round? */
static void choose(
	struct choker *c, const struct choker_peer *peers, uint64_t now_ms)
{
	unsigned slots = c->meter.slots;
	unsigned dealt = (slots + OPTIMISTIC_SHARE - 1) / OPTIMISTIC_SHARE;
	unsigned ranked = rank_all(c, peers, now_ms, false);

	for (unsigned i = 0; i < c->capacity; i++)
		c->seats[i].chosen = false;
	choose_best(c, ranked, slots - dealt);
	choose_best(c, ranked, choose_optimistic(c, ranked, dealt, now_ms));
	for (unsigned i = 0; i < c->capacity; i++)
		set_unchoked(&c->seats[i], c->seats[i].chosen, now_ms);
}

/* ---- at any time ---- */

struct demand {
	unsigned used, waiting, expected;
};

static struct demand demand_of(const struct choker *c,
	const struct choker_peer *peers, uint64_t now_ms)
{
	struct demand d = {0};

	for (unsigned i = 0; i < c->capacity; i++) {
		d.used += uses_slot(&c->seats[i], &peers[i], now_ms);
		d.waiting += waits(&c->seats[i]);
		d.expected += expects_slot(&c->seats[i], &peers[i], now_ms);
	}
	return d;
}

static bool is_newcomer(
	const struct seat *s, const struct choker_peer *p, uint64_t now_ms)
{
	return p->since_ms != 0 && !p->interested && !s->unchoked &&
		now_ms - p->since_ms < CHOKER_IDLE_MS;
}

/* To those that wait, then to newcomers, which will want one in a moment. */
static void give_free(struct choker *c, const struct choker_peer *peers,
	struct demand d, uint64_t now_ms)
{
	unsigned room = d.used < c->meter.slots ? c->meter.slots - d.used : 0;
	unsigned ranked = room > 0 && d.waiting > 0
		? rank_all(c, peers, now_ms, true)
		: 0;

	for (unsigned i = 0; i < ranked && room > 0; i++, room--)
		set_unchoked(&c->seats[c->ranks[i].index], true, now_ms);
	room = room > d.expected ? room - d.expected : 0;
	for (unsigned i = 0; i < c->capacity && room > 0; i++) {
		if (!is_newcomer(&c->seats[i], &peers[i], now_ms))
			continue;
		set_unchoked(&c->seats[i], true, now_ms);
		room--;
	}
}

void choker_look(struct choker *c, const struct choker_peer *peers,
	uint64_t uploaded, uint64_t now_ms)
{
	bool round = now_ms - c->round_ms >= CHOKER_ROUND_MS;

	for (unsigned i = 0; i < c->capacity; i++) {
		look_at(&c->seats[i], &peers[i], now_ms);
		if (round)
			measure(&c->seats[i], &peers[i], now_ms);
	}
	struct demand d = demand_of(c, peers, now_ms);
	bool wanting = d.waiting > 0 && d.used >= c->meter.slots;

	meter_look(&c->meter, uploaded, now_ms, wanting);
	if (round) {
		c->round_ms = now_ms;
		meter_round(&c->meter, uploaded, now_ms, wanting);
		if (d.used + (d.waiting > 0) > c->meter.slots) {
			choose(c, peers, now_ms);
			d = demand_of(c, peers, now_ms);
		}
	}
	give_free(c, peers, d, now_ms);
}
