#include "client/torrent/glob.h"

#include <stdint.h>
#include <string.h>

#include "shared/text.h"

/* The character at *at, which is moved past it; bytes that are no UTF-8 count
 * as one each. */
static uint32_t next_char(const char **at)
{
	const uint8_t *bytes = (const uint8_t *)*at;
	size_t len = text_utf8_char((struct span){bytes, strnlen(*at, 4)});

	*at += len > 0 ? len : 1;
	return len > 0 ? text_code_point(bytes, len) : bytes[0];
}

static uint32_t next_in_set(const char **at)
{
	if (**at == '\\' && (*at)[1] != '\0')
		(*at)++;
	return next_char(at);
}

/* The set that begins at **p: is `c` in it?  Moves *p past it.  False: it has
 * no end, so it is none. */
static bool read_set(const char **p, uint32_t c, bool *ret_in)
{
	const char *at = *p + 1;
	bool inverted = *at == '!' || *at == '^';
	bool in = false;

	if (inverted)
		at++;
	for (bool first = true; *at != ']' || first; first = false) {
		if (*at == '\0')
			return false;
		uint32_t from = next_in_set(&at);
		uint32_t to = from;
		if (at[0] == '-' && at[1] != ']' && at[1] != '\0') {
			at++;
			to = next_in_set(&at);
		}
		in |= c >= from && c <= to;
	}
	*p = at + 1;
	*ret_in = in != inverted && c != '/';
	return true;
}

/* Does what is at *p, which is no star, match the character `c`? */
static bool match_one(const char **p, uint32_t c)
{
	bool in;

	if (**p == '\0')
		return false;
	if (**p == '?') {
		(*p)++;
		return c != '/';
	}
	if (**p == '[' && read_set(p, c, &in))
		return in;
	if (**p == '\\' && (*p)[1] != '\0')
		(*p)++;
	return next_char(p) == c;
}

/* Where to go on when a match has failed: the last star may take more. */
struct retry {
	const char *pattern; /* behind the star; NULL: there was none */
	const char *text;    /* that was tried with it */
	bool folders;        /* a star with a slash: takes whole folders */
};

/* One character more for the star, or one folder; false: it cannot. */
static bool take_more(struct retry *r, bool slashes)
{
	if (!r->pattern || *r->text == '\0')
		return false;
	if (r->folders) {
		const char *slash = strchr(r->text, '/');
		if (slash)
			r->text = slash + 1;
		return slash != NULL;
	}
	if (*r->text == '/' && !slashes)
		return false;
	(void)next_char(&r->text);
	return true;
}

bool glob_match(const char *pattern, const char *text)
{
	/* What matched before the last star of each kind need not be looked at
	 * again: the earliest match leaves most to what follows. */
	struct retry star = {0};
	struct retry deep = {0};
	const char *p = pattern;
	const char *t = text;

	for (;;) {
		if (p[0] == '*' && p[1] == '*') {
			bool begins = p == pattern || p[-1] == '/';
			while (*p == '*')
				p++;
			bool folders = begins && *p == '/';
			if (folders)
				p++;
			deep = (struct retry){p, t, folders};
			star.pattern = NULL;
			continue;
		}
		if (*p == '*') {
			p++;
			star = (struct retry){p, t, false};
			continue;
		}
		if (*p == '\0' && *t == '\0')
			return true;
		const char *rest = t;
		if (*t != '\0' && match_one(&p, next_char(&rest))) {
			t = rest;
		} else if (take_more(&star, false)) {
			p = star.pattern;
			t = star.text;
		} else if (take_more(&deep, true)) {
			star.pattern = NULL;
			p = deep.pattern;
			t = deep.text;
		} else {
			return false;
		}
	}
}
