#include "client/torrent/selection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/torrent/glob.h"
#include "shared/metainfo.h"
#include "shared/text.h"

enum {
	MAX_NUMBER = INT32_MAX,
	MAX_ITEMS = 100000,
	SHOWN_SIZE = 48,
	SHOWN_FILES = 3, /* of what is there, in a message */
};

struct selection_item {
	char *text;           /* as it was said */
	char *glob;           /* NULL: numbers */
	uint64_t first, last; /* from 1 */
};

/* Bytes that are wanted of a piece where a wanted file begins or ends. */
struct selection_edge {
	uint32_t piece;
	uint32_t bytes;
};

static const char *word(const struct selection_list *list)
{
	return list->from_link ? "magnet link: so" : "--select";
}

static bool out_of_memory(const struct selection_list *list, struct error *err)
{
	return error_set(err, "%s: out of memory", word(list));
}

/* ---- the list ---- */

static bool only_digits(const char *text, size_t len)
{
	return len > 0 && strspn(text, "0123456789") >= len;
}

/* "3" or "3-5". */
static bool looks_like_numbers(const char *text)
{
	size_t dash = strcspn(text, "-");

	return only_digits(text, dash) &&
		(text[dash] == '\0' ||
			only_digits(text + dash + 1, strlen(text + dash + 1)));
}

static bool read_number(
	const char *text, size_t len, uint64_t least, uint64_t *ret)
{
	char digits[32];

	if (len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	return text_parse_number(digits, least, MAX_NUMBER, ret);
}

static bool read_numbers(const struct selection_list *list,
	struct selection_item *item, struct error *err)
{
	uint64_t least = list->from_link ? 0 : 1;
	char shown[SHOWN_SIZE];
	size_t dash = strcspn(item->text, "-");

	bool ok = read_number(item->text, dash, least, &item->first);
	item->last = item->first;
	if (ok && item->text[dash] == '-')
		ok = read_number(item->text + dash + 1,
			strlen(item->text + dash + 1), item->first,
			&item->last);
	if (!ok)
		return error_set(err,
			"%s: wants numbers from %" PRIu64
			" up, such as 1,3-5, not '%s'",
			word(list), least,
			text_escape_str(item->text, shown, sizeof(shown)));
	item->first += 1 - least;
	item->last += 1 - least;
	return true;
}

static struct selection_item *append(
	struct selection_list *list, const char *text, size_t len)
{
	if (list->count == MAX_ITEMS)
		return NULL;
	/* Doubled when a power of two is reached. */
	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count == 0 ? 1 : 2 * list->count;
		struct selection_item *items =
			reallocarray(list->items, room, sizeof(*items));
		if (!items)
			return NULL;
		list->items = items;
	}
	struct selection_item *item = &list->items[list->count];
	*item = (struct selection_item){.text = strndup(text, len)};
	if (!item->text)
		return NULL;
	list->count++;
	return item;
}

/* Up to the next comma that is not escaped. */
static size_t item_length(const char *text)
{
	size_t len = 0;

	while (text[len] != '\0' && text[len] != ',')
		len += text[len] == '\\' && text[len + 1] != '\0' ? 2 : 1;
	return len;
}

static bool read_item(struct selection_list *list, struct selection_item *item,
	struct error *err)
{
	char shown[SHOWN_SIZE];
	const char *text = item->text;

	if (looks_like_numbers(text))
		return read_numbers(list, item, err);
	if (list->from_link)
		return error_set(err, "%s: wants numbers, not '%s'", word(list),
			text_escape_str(text, shown, sizeof(shown)));
	/* A folder: all that is below it. */
	bool folder = text[strlen(text) - 1] == '/';
	if (asprintf(&item->glob, "%s%s", text, folder ? "**" : "") < 0) {
		item->glob = NULL;
		return out_of_memory(list, err);
	}
	return true;
}

static bool add(
	struct selection_list *list, const char *text, struct error *err)
{
	for (;; text++) {
		text += strspn(text, " ");
		size_t whole = item_length(text);
		size_t len = whole;
		while (len > 0 && text[len - 1] == ' ')
			len--;
		if (len == 0)
			return error_set(err,
				"%s: wants files, such as 1,3-5 or '*.txt', "
				"and something before and after each comma",
				word(list));

		struct selection_item *item = append(list, text, len);
		if (!item)
			return error_set(err, "%s: too long", word(list));
		if (!read_item(list, item, err))
			return false;
		text += whole;
		if (*text == '\0')
			return true;
	}
}

bool selection_list_add(
	struct selection_list *list, const char *text, struct error *err)
{
	return add(list, text, err);
}

bool selection_list_add_indices(
	struct selection_list *list, const char *text, struct error *err)
{
	list->from_link = true;
	return add(list, text, err);
}

void selection_list_finish(struct selection_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].text);
		free(list->items[i].glob);
	}
	free(list->items);
	*list = (struct selection_list){0};
}

/* ---- files ---- */

/* "NAME has 1 a/b.txt, 2 c.txt, 3 d.txt and 7 more", for a message. */
static bool not_there(const struct selection_list *list, const char *what,
	const struct metainfo *m, struct error *err)
{
	char shown[SHOWN_SIZE];
	char files[SHOWN_FILES * (SHOWN_SIZE + 16) + 32];
	char name[SHOWN_SIZE];
	size_t len = 0;

	for (size_t i = 0; i < m->file_count && i < SHOWN_FILES; i++)
		len += (size_t)snprintf(files + len, sizeof(files) - len,
			"%s%zu %s", i > 0 ? ", " : "", i + 1,
			text_escape_str(
				m->files[i].path, shown, sizeof(shown)));
	if (m->file_count > SHOWN_FILES)
		snprintf(files + len, sizeof(files) - len, " and %zu more",
			m->file_count - SHOWN_FILES);
	text_escape_str(m->name, name, sizeof(name));
	return error_set(err, "%s: '%s' is no file of %s, which has %s",
		word(list), text_escape_str(what, shown, sizeof(shown)), name,
		files);
}

/* Ranges may overlap, and a link may have many: so only where each begins (1)
 * and ends (-1) is noted, one place for a file. */
static bool choose_numbers(const struct selection_item *item,
	const struct metainfo *m, int32_t *ret_borders)
{
	if (item->first <= m->file_count)
		ret_borders[item->first - 1]++;
	if (item->last < m->file_count)
		ret_borders[item->last]--;
	return item->last <= m->file_count;
}

static void add_ranges(
	const int32_t *borders, const struct metainfo *m, uint8_t *ret)
{
	int32_t open = 0; /* ranges */

	for (size_t i = 0; i < m->file_count; i++) {
		open += borders[i];
		ret[i] |= open > 0;
	}
}

static bool choose_glob(const struct selection_item *item,
	const struct metainfo *m, uint8_t *ret)
{
	bool found = false;

	for (size_t i = 0; i < m->file_count; i++) {
		const char *path = m->files[i].path;
		const char *slash = strrchr(path, '/');

		if (!metainfo_on_disk(&m->files[i]) ||
			(!glob_match(item->glob, path) &&
				!(slash && glob_match(item->glob, slash + 1))))
			continue;
		ret[i] = 1;
		found = true;
	}
	return found;
}

static bool choose_items(const struct selection_list *list,
	const struct metainfo *m, uint8_t *ret, int32_t *borders,
	struct error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct selection_item *item = &list->items[i];
		bool there = item->glob ? choose_glob(item, m, ret)
					: choose_numbers(item, m, borders);

		if (!there && !list->from_link)
			return not_there(list, item->text, m, err);
	}
	add_ranges(borders, m, ret);
	return true;
}

static bool choose_files(const struct selection_list *list,
	const struct metainfo *m, struct selection *s, struct error *err)
{
	int32_t *borders = calloc(m->file_count, sizeof(*borders));

	if (!borders)
		return out_of_memory(list, err);
	bool ok = choose_items(list, m, s->files, borders, err);
	free(borders);
	if (!ok)
		return false;
	for (size_t i = 0; i < m->file_count; i++) {
		if (!metainfo_on_disk(&m->files[i]))
			s->files[i] = 0;
		if (!s->files[i])
			continue;
		s->file_count++;
		s->length += m->files[i].length;
	}
	return s->file_count > 0 ||
		not_there(list, list->items[0].text, m, err);
}

static bool everything(const struct selection *s, const struct metainfo *m)
{
	for (size_t i = 0; i < m->file_count; i++) {
		if (metainfo_on_disk(&m->files[i]) && !s->files[i])
			return false;
	}
	return true;
}

/* ---- pieces ---- */

/* `bytes` more of a piece; pieces come in order. */
static void add_edge(struct selection *s, uint32_t piece, uint64_t bytes)
{
	struct selection_edge *last = &s->edges[s->edge_count];

	if (s->edge_count > 0 && last[-1].piece == piece)
		last[-1].bytes += (uint32_t)bytes;
	else {
		*last = (struct selection_edge){piece, (uint32_t)bytes};
		s->edge_count++;
	}
}

static void choose_pieces(struct selection *s, const struct metainfo *m)
{
	uint64_t piece_length = m->piece_length;

	bitfield_set_all(&s->unwanted);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct metainfo_file *f = &m->files[i];

		if (!s->files[i] || f->length == 0)
			continue;
		uint64_t end = f->offset + f->length;
		uint32_t first = (uint32_t)(f->offset / piece_length);
		uint32_t last = (uint32_t)((end - 1) / piece_length);

		for (uint32_t p = first; p <= last; p++)
			bitfield_clear(&s->unwanted, p);
		if (first == last) {
			add_edge(s, first, f->length);
			continue;
		}
		add_edge(s, first, (first + 1) * piece_length - f->offset);
		add_edge(s, last, end - last * piece_length);
	}
}

bool selection_choose(const struct selection_list *list,
	const struct metainfo *m, struct selection *ret, struct error *err)
{
	struct selection s = {.partial = true};

	*ret = (struct selection){0};
	if (list->count == 0)
		return true;

	s.files = calloc(m->file_count, 1);
	s.edges = calloc(2 * m->file_count, sizeof(*s.edges));
	if (!s.files || !s.edges ||
		!bitfield_init(&s.unwanted, m->piece_count)) {
		selection_finish(&s);
		return out_of_memory(list, err);
	}
	if (!choose_files(list, m, &s, err)) {
		selection_finish(&s);
		return false;
	}
	if (everything(&s, m)) {
		selection_finish(&s);
		return true;
	}
	choose_pieces(&s, m);
	*ret = s;
	return true;
}

void selection_finish(struct selection *s)
{
	free(s->files);
	free(s->edges);
	bitfield_finish(&s->unwanted);
	*s = (struct selection){0};
}

static int compare_edges(const void *a, const void *b)
{
	uint32_t x = ((const struct selection_edge *)a)->piece;
	uint32_t y = ((const struct selection_edge *)b)->piece;

	return x < y ? -1 : x > y;
}

uint32_t selection_piece_bytes(
	const struct selection *s, const struct metainfo *m, uint32_t piece)
{
	if (s->partial && bitfield_has(&s->unwanted, piece))
		return 0;
	if (s->edge_count > 0) {
		struct selection_edge key = {.piece = piece};
		const struct selection_edge *edge = bsearch(&key, s->edges,
			s->edge_count, sizeof(key), compare_edges);
		if (edge)
			return edge->bytes;
	}
	return metainfo_piece_size(m, piece);
}
