#include "shared/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/text.h"

/* A command line on its way through the table. */
struct parse {
	const struct option *table;
	int argc;
	char **argv;
	int next; /* index of the next word */
	struct error *err;
};

enum {
	SHOWN_SIZE = 64, /* of a user's word in a message, escaped */
	BOUND_SIZE = 24,
};

/* The line at `o`, or where the table goes on; NULL at its end. */
static const struct option *line_at(const struct option *o)
{
	while (o->kind == OPTION_MORE)
		o = o->target;
	return o->name && o->name[0] != '\0' ? o : NULL;
}

static const struct option *line_after(const struct option *o)
{
	return line_at(o + 1);
}

/* Lists have room for all of argv, so adding never fails later. */
static bool list_add(
	struct parse *p, struct option_list *list, const char *item)
{
	if (!list->items) {
		list->items = calloc((size_t)p->argc, sizeof(*list->items));
		if (!list->items)
			return error_set(p->err, "options: out of memory");
	}
	list->items[list->count++] = item;
	return true;
}

static bool parse_decimal(const char *text, uint64_t max, double *ret)
{
	char *end;

	/* strtod() alone would take "inf", "nan", "0x1" and spaces too. */
	if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0')
		return false;

	double value = strtod(text, &end);
	if (end == text || *end != '\0' || (max > 0 && value > (double)max))
		return false;
	*ret = value;
	return true;
}

/* "16384"; of a size "16K", when it is so many whole ones. */
static const char *bound(
	const struct option *o, uint64_t value, char ret[BOUND_SIZE])
{
	static const char suffixes[] = "KMG";
	char suffix[2] = "";

	for (size_t i = 0; o->kind == OPTION_SIZE && suffixes[i] != '\0' &&
		value > 0 && value % 1024 == 0;
		i++) {
		suffix[0] = suffixes[i];
		value /= 1024;
	}
	snprintf(ret, BOUND_SIZE, "%llu%s", (unsigned long long)value, suffix);
	return ret;
}

/* " from 1 to 9", " of at least 1", or nothing. */
static void describe_range(const struct option *o, char *ret, size_t size)
{
	char min[BOUND_SIZE];
	char max[BOUND_SIZE];

	if (o->max > 0)
		snprintf(ret, size, " from %s to %s", bound(o, o->min, min),
			bound(o, o->max, max));
	else if (o->min > 0)
		snprintf(ret, size, " of at least %s", bound(o, o->min, min));
	else
		ret[0] = '\0';
}

static bool wants(struct parse *p, const struct option *o, const char *what,
	const char *value)
{
	char shown[SHOWN_SIZE];

	return error_set(p->err, "--%s: wants %s, not '%s'", o->name, what,
		text_escape_str(value, shown, sizeof(shown)));
}

static bool set_number(
	struct parse *p, const struct option *o, const char *value)
{
	uint64_t max = o->max > 0 ? o->max : UINT64_MAX;
	uint64_t number = 0;
	char range[64];
	char what[96];

	bool ok = o->kind == OPTION_SIZE
		? text_parse_size(value, max, &number) && number >= o->min
		: text_parse_number(value, o->min, max, &number);
	if (!ok) {
		describe_range(o, range, sizeof(range));
		snprintf(what, sizeof(what), "a %s%s",
			o->kind == OPTION_SIZE ? "size such as 512K or 2M"
					       : "number",
			range);
		return wants(p, o, what, value);
	}
	*(uint64_t *)o->target = number;
	return true;
}

/* `value` is NULL for flags. */
static bool set(struct parse *p, const struct option *o, const char *value)
{
	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)o->target = true;
		return true;
	case OPTION_TEXT:
		*(const char **)o->target = value;
		return true;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return set_number(p, o, value);
	case OPTION_DECIMAL:
		if (!parse_decimal(value, o->max, o->target))
			return wants(p, o, "a number such as 1.5", value);
		return true;
	case OPTION_LIST:
		return list_add(p, o->target, value);
	case OPTION_MORE:
		break; /* has no name */
	}
	return false;
}

/* Set an option whose value is `attached`, or else the next word. */
static bool set_with_value(
	struct parse *p, const struct option *o, const char *attached)
{
	if (!attached && p->next < p->argc)
		attached = p->argv[p->next++];
	if (!attached)
		return error_set(p->err, "--%s: needs a value: --%s %s",
			o->name, o->name, o->value_name);
	return set(p, o, attached);
}

static bool unknown(
	struct parse *p, const char *prefix, const char *word, size_t len)
{
	char shown[SHOWN_SIZE];

	text_escape((struct span){(const uint8_t *)word, len}, shown,
		sizeof(shown));
	return error_set(
		p->err, "%s%s: no such option, see --help", prefix, shown);
}

/* The option of that name, or the only one whose name begins so. */
static const struct option *find_long(
	struct parse *p, const char *word, size_t len)
{
	const struct option *found = NULL;
	const struct option *second = NULL;

	for (const struct option *o = line_at(p->table); o && len > 0;
		o = line_after(o)) {
		if (strncmp(o->name, word, len) != 0)
			continue;
		if (o->name[len] == '\0')
			return o;
		if (found)
			second = o;
		else
			found = o;
	}
	if (!found)
		unknown(p, "--", word, len);
	if (second) {
		error_set(p->err, "--%.*s: could be --%s or --%s", (int)len,
			word, found->name, second->name);
		return NULL;
	}
	return found;
}

/* "name" or "name=value", after the dashes. */
static bool parse_long(struct parse *p, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct option *o = find_long(p, word, len);

	if (!o)
		return false;

	const char *value = word[len] == '=' ? word + len + 1 : NULL;
	if (o->kind != OPTION_FLAG)
		return set_with_value(p, o, value);
	if (value)
		return error_set(p->err, "--%s: takes no value", o->name);
	return set(p, o, NULL);
}

/* "qv", "p6881" or "qp6881", after the dash. */
static bool parse_short(struct parse *p, const char *word)
{
	for (; *word != '\0'; word++) {
		const struct option *o = line_at(p->table);

		while (o && o->short_name != *word)
			o = line_after(o);
		if (!o) {
			struct span rest = {
				(const uint8_t *)word, strlen(word)};
			size_t len = text_utf8_char(rest);
			return unknown(p, "-", word, len > 0 ? len : 1);
		}
		if (o->kind != OPTION_FLAG)
			return set_with_value(
				p, o, word[1] != '\0' ? word + 1 : NULL);
		if (!set(p, o, NULL))
			return false;
	}
	return true;
}

bool options_parse(const struct option *table, int argc, char **argv,
	struct option_list *arguments, struct error *err)
{
	struct parse p = {table, argc, argv, 1, err};
	bool only_arguments = false;
	bool ok = true;

	*arguments = (struct option_list){0};
	while (ok && p.next < argc) {
		const char *word = argv[p.next++];

		if (word[0] == '\0')
			ok = error_set(err, "an argument is empty");
		else if (only_arguments || word[0] != '-' || word[1] == '\0')
			ok = list_add(&p, arguments, word);
		else if (strcmp(word, "--") == 0)
			only_arguments = true;
		else if (word[1] == '-')
			ok = parse_long(&p, word + 2);
		else
			ok = parse_short(&p, word + 1);
	}
	if (!ok)
		options_free(table, arguments);
	return ok;
}

static void list_free(struct option_list *list)
{
	free(list->items);
	*list = (struct option_list){0};
}

void options_free(const struct option *table, struct option_list *arguments)
{
	for (const struct option *o = line_at(table); o; o = line_after(o))
		if (o->kind == OPTION_LIST)
			list_free(o->target);
	list_free(arguments);
}

enum { LABEL_SIZE = 80 };

/* "  -p, --port N"; returns its length. */
static size_t label(const struct option *o, char ret[LABEL_SIZE])
{
	char short_name[] = {'-', o->short_name, ',', ' ', '\0'};

	snprintf(ret, LABEL_SIZE, "  %s--%s%s%s",
		o->short_name ? short_name : "    ", o->name,
		o->value_name ? " " : "", o->value_name ? o->value_name : "");
	return strlen(ret);
}

void options_print_help(const struct option *table)
{
	/* A label longer than this has a line to itself. */
	enum { WIDEST = 28, GAP = 2 };
	size_t width = 0;
	char text[LABEL_SIZE];

	for (const struct option *o = line_at(table); o; o = line_after(o)) {
		size_t len = label(o, text);
		if (len <= WIDEST && len > width)
			width = len;
	}

	for (const struct option *o = line_at(table); o; o = line_after(o)) {
		size_t at = label(o, text);
		const char *help = o->help;

		fputs(text, stdout);
		if (at > width) {
			putchar('\n');
			at = 0;
		}
		while (*help != '\0') {
			size_t len = strcspn(help, "\n");

			printf("%*s%.*s\n", (int)(width + GAP - at), "",
				(int)len, help);
			help += len + (help[len] == '\n');
			at = 0;
		}
	}
}
