#include "shared/text.h"

#include <stdio.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

/* Where output goes: what does not fit whole is left out, and everything after
 * it, so that a text is cut at a character. */
struct sink {
	char *at;
	size_t left; /* the NUL's place not counted */
	bool full;
};

static struct sink sink_of(char *ret, size_t size)
{
	return (struct sink){ret, size > 0 ? size - 1 : 0, size == 0};
}

static void sink_put(struct sink *s, const void *bytes, size_t len)
{
	if (s->full || len > s->left) {
		s->full = true;
		return;
	}
	memcpy(s->at, bytes, len);
	s->at += len;
	s->left -= len;
}

/* The first bytes of valid sequences of two and more (RFC 3629): how many
 * bytes follow, and within what the first of these lies, by which overlong
 * forms, surrogates and what is past U+10FFFF are refused. */
static const struct {
	uint8_t first, last;
	uint8_t follow;
	uint8_t low, high;
} sequences[] = {
	{0xc2, 0xdf, 1, 0x80, 0xbf},
	{0xe0, 0xe0, 2, 0xa0, 0xbf},
	{0xe1, 0xec, 2, 0x80, 0xbf},
	{0xed, 0xed, 2, 0x80, 0x9f},
	{0xee, 0xef, 2, 0x80, 0xbf},
	{0xf0, 0xf0, 3, 0x90, 0xbf},
	{0xf1, 0xf3, 3, 0x80, 0xbf},
	{0xf4, 0xf4, 3, 0x80, 0x8f},
};

size_t text_utf8_char(struct span in)
{
	if (in.len == 0)
		return 0;
	if (in.at[0] < 0x80)
		return 1;

	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
		if (in.at[0] < sequences[i].first ||
			in.at[0] > sequences[i].last)
			continue;

		size_t follow = sequences[i].follow;
		if (in.len - 1 < follow || in.at[1] < sequences[i].low ||
			in.at[1] > sequences[i].high)
			return 0;
		for (size_t k = 2; k <= follow; k++)
			if ((in.at[k] & 0xc0) != 0x80)
				return 0;
		return follow + 1;
	}
	return 0;
}

uint32_t text_code_point(const uint8_t *at, size_t len)
{
	if (len == 1)
		return at[0];

	uint32_t value = at[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++)
		value = value << 6 | (at[i] & 0x3fu);
	return value;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

/* Characters that break or turn round the line they stand in. */
static bool moves_line(uint32_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void put_hex(struct sink *s, uint32_t byte)
{
	char escape[] = {
		'\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 15]};

	sink_put(s, escape, sizeof(escape));
}

const char *text_escape(struct span in, char *ret, size_t size)
{
	struct sink s = sink_of(ret, size);

	while (in.len > 0 && !s.full) {
		size_t len = text_utf8_char(in);
		uint32_t c = len > 0 ? text_code_point(in.at, len) : in.at[0];

		if (len == 0 || is_control(c))
			put_hex(&s, c);
		else if (moves_line(c))
			sink_put(&s, "?", 1);
		else
			sink_put(&s, in.at, len);
		len = len > 0 ? len : 1;
		in.at += len;
		in.len -= len;
	}
	if (size > 0)
		*s.at = '\0';
	return ret;
}

const char *text_escape_str(const char *in, char *ret, size_t size)
{
	struct span s = {(const uint8_t *)in, strlen(in)};

	return text_escape(s, ret, size);
}

size_t text_utf8_repair(struct span in, char *ret, size_t size)
{
	struct sink s = sink_of(ret, size);

	while (in.len > 0 && !s.full) {
		size_t len = text_utf8_char(in);

		if (len == 0 || in.at[0] == 0) {
			sink_put(&s, "\xef\xbf\xbd", 3);
			len = 1;
		} else {
			sink_put(&s, in.at, len);
		}
		in.at += len;
		in.len -= len;
	}
	if (size > 0)
		*s.at = '\0';
	return (size_t)(s.at - ret);
}

bool text_utf8_valid(struct span in)
{
	while (in.len > 0) {
		size_t len = text_utf8_char(in);

		if (len == 0)
			return false;
		in.at += len;
		in.len -= len;
	}
	return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* RFC 3986. */
static bool is_unreserved(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
		c == '~';
}

bool text_percent_encode(struct span in, char *ret, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	struct sink s = sink_of(ret, size);

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.at[i];
		char escape[] = {'%', digits[c >> 4], digits[c & 15]};

		if (is_unreserved(c))
			sink_put(&s, &c, 1);
		else
			sink_put(&s, escape, sizeof(escape));
	}
	if (size > 0)
		*s.at = '\0';
	return !s.full;
}

bool text_escape_spaces(char *text, size_t size)
{
	size_t len = strlen(text);
	size_t spaces = 0;

	for (size_t i = 0; i < len; i++)
		spaces += text[i] == ' ';
	if (spaces > (size - len - 1) / 2)
		return false;
	/* From the end on, so that nothing is written over before it is read;
	 * the NUL goes along. */
	for (size_t from = len + 1, to = from + 2 * spaces; from < to;) {
		if (text[--from] != ' ') {
			text[--to] = text[from];
			continue;
		}
		to -= 3;
		memcpy(text + to, "%20", 3);
	}
	return true;
}

int text_hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool text_percent_decode(
	struct span in, uint8_t *ret, size_t size, size_t *ret_len)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.at[i];

		if (c == '%') {
			if (in.len - i < 3)
				return false;
			int high = text_hex_value(in.at[i + 1]);
			int low = text_hex_value(in.at[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (len == size)
			return false;
		ret[len++] = c;
	}
	*ret_len = len;
	return true;
}

bool text_hex_decode(const char *in, uint8_t *ret, size_t len)
{
	if (strlen(in) != 2 * len)
		return false;
	for (size_t i = 0; i < 2 * len; i++)
		if (text_hex_value((uint8_t)in[i]) < 0)
			return false;
	for (size_t i = 0; i < len; i++)
		ret[i] = (uint8_t)(text_hex_value((uint8_t)in[2 * i]) << 4 |
			text_hex_value((uint8_t)in[2 * i + 1]));
	return true;
}

void text_hex_encode(const void *in, size_t len, char *ret)
{
	const uint8_t *bytes = in;

	for (size_t i = 0; i < len; i++) {
		*ret++ = hex_digits[bytes[i] >> 4];
		*ret++ = hex_digits[bytes[i] & 15];
	}
	*ret = '\0';
}

const char *text_size(uint64_t bytes, char ret[TEXT_UNIT_SIZE])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(ret, TEXT_UNIT_SIZE, "%u B", (unsigned)bytes);
		return ret;
	}
	/* What would be rounded to 1024.0 is 1.0 of the next unit. */
	while (value >= 1023.95 && units[unit + 1] != '\0') {
		value /= 1024;
		unit++;
	}
	snprintf(ret, TEXT_UNIT_SIZE, "%.1f %ciB", value, units[unit]);
	return ret;
}

const char *text_duration(uint64_t seconds, char ret[TEXT_UNIT_SIZE])
{
	static const struct {
		uint64_t unit_s;
		const char *name;
		uint64_t part_s;
		const char *part_name;
	} units[] = {
		{24 * 3600, "d", 3600, "h"},
		{3600, "h", 60, "min"},
		{60, "min", 1, "s"},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (seconds < units[i].unit_s)
			continue;
		snprintf(ret, TEXT_UNIT_SIZE, "%llu %s %02u %s",
			(unsigned long long)(seconds / units[i].unit_s),
			units[i].name,
			(unsigned)(seconds % units[i].unit_s / units[i].part_s),
			units[i].part_name);
		return ret;
	}
	snprintf(ret, TEXT_UNIT_SIZE, "%u s", (unsigned)seconds);
	return ret;
}

/* Decimal digits from *p on, at least one; *p is moved past them. */
static bool decimal(const char **p, uint64_t *ret)
{
	uint64_t value = 0;

	if (!is_digit(**p))
		return false;
	for (; is_digit(**p); (*p)++) {
		uint64_t d = (uint64_t)(**p - '0');

		if (value > (UINT64_MAX - d) / 10)
			return false;
		value = value * 10 + d;
	}
	*ret = value;
	return true;
}

bool text_parse_number(
	const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	if (!decimal(&text, &value) || *text != '\0' || value < min ||
		value > max)
		return false;
	*ret = value;
	return true;
}

bool text_parse_size(const char *text, uint64_t max, uint64_t *ret)
{
	/* With six digits after the point, fraction * unit stays below 2^64
	 * for the largest unit, 2^40. */
	enum { FRACTION_DIGITS = 6 };
	static const char suffixes[] = "KkMmGgTt";
	uint64_t value;
	uint64_t fraction = 0;
	uint64_t fraction_unit = 1;
	unsigned shift = 0;

	if (!decimal(&text, &value))
		return false;
	if (*text == '.') {
		const char *start = ++text;

		if (!decimal(&text, &fraction) ||
			text - start > FRACTION_DIGITS)
			return false;
		for (; start < text; start++)
			fraction_unit *= 10;
	}

	const char *suffix = *text ? strchr(suffixes, *text) : NULL;
	if (suffix) {
		shift = 10 * (unsigned)((suffix - suffixes) / 2 + 1);
		text++;
		if (text[0] == 'i' && text[1] == 'B')
			text++;
	}
	if (*text == 'B')
		text++;
	if (*text != '\0' || (fraction_unit > 1 && shift == 0))
		return false;

	uint64_t part = (fraction << shift) / fraction_unit;
	if (value > UINT64_MAX >> shift || part > max ||
		value << shift > max - part)
		return false;
	*ret = (value << shift) + part;
	return true;
}
