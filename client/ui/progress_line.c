#include "client/ui/progress_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/text.h"
#include "shared/writer.h"

enum {
	GAP = 2, /* columns between two fields */
	NAME_MIN = 10,
	NAME_USUAL = 32,
	BAR_MIN = 10,
	BAR_MAX = 30,
};

/* The fields of a line, in their order. */
enum field {
	FIELD_PERCENT,
	FIELD_AMOUNT,
	FIELD_DOWN, /* or the state, when nothing is downloaded */
	FIELD_UP,
	FIELD_PEERS,
	FIELD_LEFT, /* time left; the ratio of a seed */
};

/* In a narrow terminal the last of these goes first. */
static const enum field by_importance[PROGRESS_COLUMNS] = {
	FIELD_PERCENT,
	FIELD_DOWN,
	FIELD_LEFT,
	FIELD_AMOUNT,
	FIELD_PEERS,
	FIELD_UP,
};

enum { FIELD_SIZE = 64 };

struct fields {
	char text[PROGRESS_COLUMNS][FIELD_SIZE];
};

static bool is_between(uint32_t c, uint32_t first, uint32_t last)
{
	return c >= first && c <= last;
}

/* East Asian wide characters and emoji, roughly: a terminal that draws one of
 * them narrow shows a shorter line, which does no harm.  Of what takes no
 * column of its own only what is usual in names: accents that stand apart from
 * their letters, as in those that a Mac made. */
static unsigned code_point_columns(uint32_t c)
{
	bool none = is_between(c, 0x300, 0x36f) ||
		is_between(c, 0x1160, 0x11ff) ||
		is_between(c, 0x200b, 0x200f) ||
		is_between(c, 0x20d0, 0x20ff) ||
		is_between(c, 0x3099, 0x309a) || is_between(c, 0xfe00, 0xfe0f);
	bool wide = is_between(c, 0x1100, 0x115f) ||
		is_between(c, 0x231a, 0x231b) ||
		is_between(c, 0x23e9, 0x23f3) ||
		is_between(c, 0x25fd, 0x27bf) ||
		is_between(c, 0x2b1b, 0x2b55) ||
		is_between(c, 0x2e80, 0xa4cf) ||
		is_between(c, 0xa960, 0xa97f) ||
		is_between(c, 0xac00, 0xd7a3) ||
		is_between(c, 0xf900, 0xfaff) ||
		is_between(c, 0xfe10, 0xfe6f) ||
		is_between(c, 0xff00, 0xff60) ||
		is_between(c, 0xffe0, 0xffe6) ||
		is_between(c, 0x16fe0, 0x18cff) ||
		is_between(c, 0x1aff0, 0x1b2ff) ||
		is_between(c, 0x1f000, 0x1faff) ||
		is_between(c, 0x20000, 0x3fffd);

	return none ? 0 : wide ? 2 : 1;
}

/* The next character of valid UTF-8: its bytes and its columns. */
static size_t next_character(const char *text, bool utf8, unsigned *ret_columns)
{
	struct span rest = {(const uint8_t *)text, strlen(text)};
	size_t len = text_utf8_char(rest);

	*ret_columns = 1;
	if (len == 0)
		return 1;
	if (utf8)
		*ret_columns =
			code_point_columns(text_code_point(rest.at, len));
	return len;
}

unsigned progress_text_columns(const char *text, bool utf8)
{
	unsigned all = 0;

	while (*text != '\0') {
		unsigned columns;
		text += next_character(text, utf8, &columns);
		all += columns;
	}
	return all;
}

/* `text` in exactly `width` columns: cut with an ellipsis, or filled up. */
static void put_fitted(
	struct writer *w, const char *text, unsigned width, bool utf8)
{
	const char *ellipsis = utf8 ? "\xe2\x80\xa6" : "~";
	bool cut = progress_text_columns(text, utf8) > width;
	unsigned room = cut ? width - 1 : width;
	unsigned used = 0;

	while (*text != '\0') {
		unsigned columns;
		size_t len = next_character(text, utf8, &columns);

		if (used + columns > room)
			break;
		if (!utf8 && len > 1)
			writer_text(w, "?");
		else
			writer_bytes(w, text, len);
		used += columns;
		text += len;
	}
	if (cut) {
		writer_text(w, ellipsis);
		used++;
	}
	writer_format(w, "%*s", (int)(width - used), "");
}

static void field_set(struct fields *f, enum field which, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void field_set(struct fields *f, enum field which, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->text[which], FIELD_SIZE, fmt, args);
	va_end(args);
}

/* Rounded down: 100% is said only when nothing is missing. */
static double percent(const struct progress_torrent *t)
{
	if (t->total == 0)
		return 0;
	return (double)((unsigned)((double)t->done / (double)t->total * 1000)) /
		10;
}

enum { NUMBER_SIZE = 24 };

/* "640.1", "1,024.0"; whole numbers for bytes. */
static void format_number(char ret[NUMBER_SIZE], double value, bool whole)
{
	unsigned thousands = (unsigned)(value / 1000);

	if (whole && thousands > 0)
		snprintf(ret, NUMBER_SIZE, "%u,%03.0f", thousands,
			value - thousands * 1000.0);
	else if (whole)
		snprintf(ret, NUMBER_SIZE, "%.0f", value);
	else if (thousands > 0)
		snprintf(ret, NUMBER_SIZE, "%u,%05.1f", thousands,
			value - thousands * 1000.0);
	else
		snprintf(ret, NUMBER_SIZE, "%.1f", value);
}

/* "640.1/1,024.0 MiB": the unit is the total's, and so small that one sees
 * something move. */
static void format_amount(char ret[FIELD_SIZE], uint64_t done, uint64_t total,
	const char *between)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	enum { UNITS = sizeof(units) / sizeof(units[0]), LARGEST = 9999 };
	size_t unit = 0;
	double divisor = 1;
	char done_text[NUMBER_SIZE];
	char total_text[NUMBER_SIZE];

	while (unit + 1 < UNITS && (double)total / divisor > LARGEST) {
		unit++;
		divisor *= 1024;
	}
	format_number(done_text, (double)done / divisor, unit == 0);
	format_number(total_text, (double)total / divisor, unit == 0);
	snprintf(ret, FIELD_SIZE, "%*s%s%s %s", (int)strlen(total_text),
		done_text, between, total_text, units[unit]);
}

/* "112.4 MiB/s", always as wide, so that the line does not dance. */
static void format_rate(char ret[NUMBER_SIZE], uint64_t bytes_per_s)
{
	static const char units[] = "KMGT";
	double value = (double)bytes_per_s / 1024;
	size_t unit = 0;

	while (value >= 1023.95 && units[unit + 1] != '\0') {
		value /= 1024;
		unit++;
	}
	snprintf(ret, NUMBER_SIZE, "%6.1f %ciB/s", value, units[unit]);
}

static void set_rates(
	struct fields *f, const struct progress_torrent *t, bool utf8)
{
	char rate[NUMBER_SIZE];

	if (t->state == PROGRESS_LEECHING) {
		format_rate(rate, t->down);
		field_set(f, FIELD_DOWN, "%s%s",
			utf8 ? "\xe2\x86\x93" : "down ", rate);
	}
	format_rate(rate, t->up);
	field_set(f, FIELD_UP, "%s%s", utf8 ? "\xe2\x86\x91" : "up ", rate);
}

static void set_peers(struct fields *f, const struct progress_torrent *t)
{
	const char *plural = t->peers == 1 ? "" : "s";

	if (t->seeds > 0 && t->state == PROGRESS_LEECHING)
		field_set(f, FIELD_PEERS, "%u peer%s (%u seed%s)", t->peers,
			plural, t->seeds, t->seeds == 1 ? "" : "s");
	else
		field_set(f, FIELD_PEERS, "%u peer%s", t->peers, plural);
}

static double share_ratio(const struct progress_torrent *t)
{
	return t->total > 0 ? (double)t->uploaded / (double)t->total : 0;
}

static void set_left(struct fields *f, const struct progress_torrent *t)
{
	char duration[TEXT_UNIT_SIZE];

	if (t->eta_s >= 0)
		field_set(f, FIELD_LEFT, "%s left",
			text_duration((uint64_t)t->eta_s, duration));
}

/* The words of a line; those that say nothing now stay empty. */
static void fill(struct fields *f, const struct progress_torrent *t, bool utf8)
{
	memset(f, 0, sizeof(*f));
	switch (t->state) {
	case PROGRESS_STARTING:
		field_set(f, FIELD_DOWN, "starting");
		return;
	case PROGRESS_FETCHING:
		field_set(f, FIELD_DOWN, "fetching metadata");
		set_peers(f, t);
		return;
	case PROGRESS_FAILED:
		field_set(f, FIELD_DOWN, "failed");
		return;
	case PROGRESS_STOPPED:
		field_set(f, FIELD_DOWN, "stopped");
		return;
	case PROGRESS_CHECKING:
		field_set(f, FIELD_PERCENT, "%5.1f%%", percent(t));
		format_amount(f->text[FIELD_AMOUNT], t->done, t->total, "/");
		if (t->down > 0)
			format_rate(f->text[FIELD_DOWN], t->down);
		else
			field_set(f, FIELD_DOWN, "checking");
		set_left(f, t);
		return;
	case PROGRESS_LEECHING:
		field_set(f, FIELD_PERCENT, "%5.1f%%", percent(t));
		format_amount(f->text[FIELD_AMOUNT], t->done, t->total, "/");
		set_left(f, t);
		break;
	case PROGRESS_SEEDING:
		/* A seed of a part is not at 100%. */
		field_set(f, FIELD_PERCENT, "%5.1f%%", percent(t));
		field_set(f, FIELD_DOWN, "seeding");
		field_set(f, FIELD_LEFT, "ratio %.2f", share_ratio(t));
		break;
	}
	set_rates(f, t, utf8);
	set_peers(f, t);
}

static unsigned at_most(unsigned a, unsigned b) { return a < b ? a : b; }

/* Move up to `wanted` columns from *rest to *to. */
static void grow(unsigned *to, unsigned wanted, unsigned *rest)
{
	unsigned more = at_most(wanted, *rest);

	*to += more;
	*rest -= more;
}

void progress_layout(const struct progress_torrent *const *torrents,
	size_t count, const struct progress_look *look,
	struct progress_layout *ret)
{
	struct progress_layout wanted = {0};

	for (size_t i = 0; i < count; i++) {
		struct fields f;
		unsigned columns =
			progress_text_columns(torrents[i]->name, look->utf8);

		if (columns > wanted.name)
			wanted.name = columns;
		fill(&f, torrents[i], look->utf8);
		for (size_t k = 0; k < PROGRESS_COLUMNS; k++) {
			columns = progress_text_columns(f.text[k], look->utf8);
			if (columns > wanted.columns[k])
				wanted.columns[k] = columns;
		}
	}

	*ret = (struct progress_layout){
		.name = at_most(at_most(wanted.name, NAME_MIN), look->width)};
	unsigned rest = look->width - ret->name;
	for (size_t i = 0; i < PROGRESS_COLUMNS; i++) {
		enum field f = by_importance[i];

		if (wanted.columns[f] > 0 && wanted.columns[f] + GAP <= rest) {
			ret->columns[f] = wanted.columns[f];
			rest -= wanted.columns[f] + GAP;
		}
	}
	if (rest >= BAR_MIN + GAP) {
		ret->bar = BAR_MIN;
		rest -= BAR_MIN + GAP;
	}
	grow(&ret->name, at_most(wanted.name, NAME_USUAL) - ret->name, &rest);
	if (ret->bar > 0)
		grow(&ret->bar, BAR_MAX - BAR_MIN, &rest);
	grow(&ret->name, wanted.name - ret->name, &rest);
}

static const char *bar_colour(enum progress_state state)
{
	switch (state) {
	case PROGRESS_CHECKING:
		return "\x1b[33m"; /* yellow */
	case PROGRESS_SEEDING:
		return "\x1b[32m"; /* green */
	case PROGRESS_FAILED:
		return "\x1b[31m"; /* red */
	case PROGRESS_STARTING:
	case PROGRESS_FETCHING:
	case PROGRESS_LEECHING:
	case PROGRESS_STOPPED:
		break;
	}
	return "\x1b[36m"; /* cyan */
}

static void put_times(struct writer *w, const char *text, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		writer_text(w, text);
}

/* Half columns are told apart where the characters for it are. */
static void put_bar(struct writer *w, const struct progress_torrent *t,
	const struct progress_look *look, unsigned width)
{
	unsigned halves = (unsigned)(percent(t) / 100 * 2 * width);
	unsigned full = halves / 2;

	if (!look->utf8) {
		put_times(w, "#", full);
		put_times(w, ".", width - full);
		return;
	}
	if (look->colour)
		writer_text(w, bar_colour(t->state));
	put_times(w, "\xe2\x94\x81", full); /* heavy line */
	if (halves % 2 == 1) {
		writer_text(w, "\xe2\x95\xb8"); /* its left half */
		full++;
	}
	if (look->colour)
		writer_text(w, "\x1b[0;2m"); /* dim */
	put_times(w, look->colour ? "\xe2\x94\x81" : " ", width - full);
	if (look->colour)
		writer_text(w, "\x1b[0m");
}

static bool numbers_to_the_right(enum field f)
{
	return f == FIELD_PERCENT || f == FIELD_AMOUNT;
}

static const char *end_text(const struct writer *w, char *ret)
{
	size_t len = writer_len(w);

	while (len > 0 && ret[len - 1] == ' ')
		len--;
	ret[len] = '\0';
	return ret;
}

const char *progress_format_line(const struct progress_torrent *t,
	const struct progress_look *look, const struct progress_layout *layout,
	char ret[PROGRESS_LINE_SIZE])
{
	struct writer w = writer_of(ret, PROGRESS_LINE_SIZE - 1);
	struct fields f;

	fill(&f, t, look->utf8);
	if (layout->name > 0)
		put_fitted(&w, t->name, layout->name, look->utf8);
	if (layout->bar > 0) {
		put_times(&w, " ", GAP);
		put_bar(&w, t, look, layout->bar);
	}
	for (size_t i = 0; i < PROGRESS_COLUMNS; i++) {
		unsigned columns = layout->columns[i];

		if (columns == 0)
			continue;
		put_times(&w, " ", GAP);
		unsigned used = progress_text_columns(f.text[i], look->utf8);
		if (numbers_to_the_right((enum field)i) && used < columns)
			put_times(&w, " ", columns - used);
		put_fitted(&w, f.text[i],
			numbers_to_the_right((enum field)i)
				? at_most(used, columns)
				: columns,
			look->utf8);
	}
	return end_text(&w, ret);
}

const char *progress_format_map(const struct progress_torrent *t,
	const struct progress_look *look, char ret[PROGRESS_LINE_SIZE])
{
	static const char *const shades[] = {" ", "\xe2\x96\x91",
		"\xe2\x96\x92", "\xe2\x96\x93", "\xe2\x96\x88"};
	static const char *const ascii[] = {".", ":", "-", "+", "#"};
	struct writer w = writer_of(ret, PROGRESS_LINE_SIZE - 1);
	unsigned width = look->width > 2 ? look->width - 2 : 0;

	if (look->width >= 2)
		writer_text(&w, look->utf8 ? "\xe2\x96\x95" : "[");
	for (unsigned i = 0; i < width; i++) {
		unsigned first = i * PROGRESS_MAP_CELLS / width;
		unsigned end = (i + 1) * PROGRESS_MAP_CELLS / width;
		unsigned sum = 0;

		if (end == first)
			end++;
		for (unsigned k = first; k < end; k++)
			sum += t->map[k];
		/* The outer shades mean nothing at all and all of it. */
		unsigned whole = (end - first) * UINT8_MAX;
		unsigned shade = sum == 0 ? 0
			: sum == whole    ? 4
					  : 1 + 3 * sum / (whole + 1);
		writer_text(&w, look->utf8 ? shades[shade] : ascii[shade]);
	}
	if (look->width >= 2)
		writer_text(&w, look->utf8 ? "\xe2\x96\x8f" : "]");
	return end_text(&w, ret);
}

/* "112.4 MiB/s" without the padding. */
static const char *plain_rate(char ret[NUMBER_SIZE], uint64_t bytes_per_s)
{
	format_rate(ret, bytes_per_s);
	return ret + strspn(ret, " ");
}

const char *progress_format_plain(
	const struct progress_torrent *t, char *ret, size_t size)
{
	struct fields f;
	char down[NUMBER_SIZE];
	char up[NUMBER_SIZE];
	char amount[FIELD_SIZE];

	fill(&f, t, false);
	format_amount(amount, t->done, t->total, " of ");
	const char *amount_start = amount + strspn(amount, " ");
	const char *up_text = plain_rate(up, t->up);
	switch (t->state) {
	case PROGRESS_LEECHING:
		snprintf(ret, size, "%s: %.1f%%, %s, down %s, up %s, %s%s%s",
			t->name, percent(t), amount_start,
			plain_rate(down, t->down), up_text, f.text[FIELD_PEERS],
			t->eta_s >= 0 ? ", " : "", f.text[FIELD_LEFT]);
		break;
	case PROGRESS_SEEDING:
		snprintf(ret, size, "%s: seeding, %s, up %s, %s", t->name,
			f.text[FIELD_LEFT], up_text, f.text[FIELD_PEERS]);
		break;
	case PROGRESS_CHECKING:
		snprintf(ret, size, "%s: checking, %.1f%%, %s", t->name,
			percent(t), amount_start);
		break;
	case PROGRESS_FETCHING:
		snprintf(ret, size, "%s: fetching metadata, %s", t->name,
			f.text[FIELD_PEERS]);
		break;
	case PROGRESS_STARTING:
	case PROGRESS_FAILED:
	case PROGRESS_STOPPED:
		snprintf(ret, size, "%s: %s", t->name, f.text[FIELD_DOWN]);
		break;
	}
	return ret;
}
