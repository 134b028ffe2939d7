#include "client/torrent/magnet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/torrent/selection.h"
#include "shared/metainfo.h"
#include "shared/text.h"

static const char prefix[] = "magnet:?";
static const char urn_v1[] = "urn:btih:";
static const char urn_v2[] = "urn:btmh:"; /* BEP 52 */

/* What a magnet points into. */
struct memory {
	const char *trackers[METAINFO_MAX_TRACKERS];
	const char *web_seeds[METAINFO_MAX_WEB_SEEDS];
	const char *peers[MAGNET_MAX_PEERS];
	char texts[];
};

/* A link under way. */
struct parse {
	struct magnet m;
	bool v1, v2;    /* such a hash was there */
	char *next;     /* where the next text goes in the memory */
	char *end;      /* of the memory */
	char *scratch;  /* room for any one value */
	uint8_t *bytes; /* the same */
	struct error *err;
};

/* RFC 4648, without padding: five bits a character, 32 of them. */
static bool from_base32(const char *text, struct info_hash *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t bits = 0;
	unsigned have = 0;
	size_t out = 0;

	for (; *text; text++) {
		char upper = *text >= 'a' && *text <= 'z'
			? (char)(*text - 'a' + 'A')
			: *text;
		const char *digit = strchr(digits, upper);
		if (!digit)
			return false;
		bits = bits << 5 | (uint32_t)(digit - digits);
		have += 5;
		if (have >= 8) {
			have -= 8;
			ret->bytes[out++] = (uint8_t)(bits >> have);
		}
	}
	return true;
}

static bool parse_hash(struct parse *p, const char *value)
{
	enum { BASE32_DIGITS = 32 };
	struct info_hash hash;

	if (strncasecmp(value, urn_v2, strlen(urn_v2)) == 0)
		p->v2 = true;
	if (strncasecmp(value, urn_v1, strlen(urn_v1)) != 0)
		return true; /* of some other network */

	const char *text = value + strlen(urn_v1);
	if (!info_hash_from_hex(text, &hash) &&
		(strlen(text) != BASE32_DIGITS || !from_base32(text, &hash)))
		return error_set(p->err,
			"magnet link: its info hash is "
			"neither 40 hexadecimal digits nor 32 "
			"of base32");
	if (p->v1 && !info_hash_equal(&hash, &p->m.info_hash))
		return error_set(p->err, "magnet link: it has two info hashes");
	p->m.info_hash = hash;
	p->v1 = true;
	return true;
}

static void keep(const char **list, size_t *count, size_t max, const char *text)
{
	for (size_t i = 0; i < *count; i++) {
		if (strcmp(list[i], text) == 0)
			return;
	}
	if (*count < max)
		list[(*count)++] = text;
}

/* What is no list of files is passed over, like all that is not known. */
static bool selects(const char *value)
{
	struct selection_list list = {0};
	struct error ignored;
	bool ok = selection_list_add_indices(&list, value, &ignored);

	selection_list_finish(&list);
	return ok;
}

/* `xt.1` and the like count as `xt`. */
static bool key_is(const char *key, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(key, name, len) == 0 &&
		(key[len] == '\0' || key[len] == '.');
}

/* Keep a value, decoded; NULL: a broken escape, or no text (a name is mended
 * instead). */
static char *keep_value(struct parse *p, struct span in, bool is_name)
{
	char *kept = p->next;
	size_t len;

	memcpy(p->scratch, in.at, in.len);
	/* Forms write a space so, and many links' names were made by one. */
	for (size_t i = 0; is_name && i < in.len; i++) {
		if (p->scratch[i] == '+')
			p->scratch[i] = ' ';
	}
	struct span encoded = {(const uint8_t *)p->scratch, in.len};
	if (!text_percent_decode(encoded, p->bytes, in.len, &len))
		return NULL;

	struct span value = {p->bytes, len};
	if (!is_name && (!text_utf8_valid(value) || memchr(p->bytes, 0, len)))
		return NULL;
	p->next += text_utf8_repair(value, kept, (size_t)(p->end - kept)) + 1;
	return kept;
}

/* One parameter, KEY=VALUE; what is not known or broken is passed over. */
static bool parse_parameter(struct parse *p, const char *at, size_t len)
{
	struct magnet *m = &p->m;
	char key[8];
	uint64_t number;

	const char *equals = memchr(at, '=', len);
	size_t key_len = equals ? (size_t)(equals - at) : len;
	if (!equals || key_len >= sizeof(key))
		return true;
	memcpy(key, at, key_len);
	key[key_len] = '\0';

	bool is_name = key_is(key, "dn");
	struct span encoded = {(const uint8_t *)equals + 1, len - key_len - 1};
	char *value = keep_value(p, encoded, is_name);
	if (!value)
		return true;
	if (key_is(key, "ws")) { /* escaped but once, for the link */
		(void)text_escape_spaces(value, (size_t)(p->end - value));
		p->next = value + strlen(value) + 1;
	}
	if (key_is(key, "xt"))
		return parse_hash(p, value);
	if (is_name)
		m->name = value;
	else if (key_is(key, "xl") &&
		text_parse_number(value, 1, INT64_MAX, &number))
		m->length = number;
	else if (key_is(key, "tr") && metainfo_url_usable(value, true))
		keep(m->trackers, &m->tracker_count, METAINFO_MAX_TRACKERS,
			value);
	else if (key_is(key, "ws") && metainfo_url_usable(value, false))
		keep(m->web_seeds, &m->web_seed_count, METAINFO_MAX_WEB_SEEDS,
			value);
	else if (strcasecmp(key, "so") == 0 && selects(value))
		m->select_only = value;
	else if (strcasecmp(key, "x.pe") == 0)
		keep(m->peers, &m->peer_count, MAGNET_MAX_PEERS, value);
	return true;
}

static bool parse_parameters(struct parse *p, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "&");

		if (!parse_parameter(p, text, len))
			return false;
		text += len;
		if (*text == '&')
			text++;
		/* Copied out of the source of a web page. */
		if (strncasecmp(text, "amp;", 4) == 0)
			text += 4;
	}
	if (!p->v1 && p->v2)
		return error_set(p->err,
			"magnet link: v2-only torrents "
			"(BEP 52) are not supported yet");
	return p->v1 || error_set(p->err, "magnet link: it has no info hash");
}

bool magnet_looks_like(const char *text)
{
	return strncasecmp(text, "magnet:", 7) == 0;
}

bool magnet_parse(const char *text, struct magnet *ret, struct error *err)
{
	struct parse p = {.m.name = "", .err = err};
	size_t len = strlen(text);

	if (strncasecmp(text, prefix, strlen(prefix)) != 0)
		return error_set(
			err, "magnet link: it does not begin with %s", prefix);
	if (len > MAGNET_MAX_SIZE)
		return error_set(err, "magnet link: too long");

	/* A byte may become U+FFFD, and each value has a NUL behind it where
	 * the link has a '='. */
	size_t texts = 3 * len + 1;
	struct memory *memory = calloc(1, sizeof(*memory) + texts);
	p.scratch = malloc(len);
	p.bytes = malloc(len);
	bool ok = memory && p.scratch && p.bytes;
	if (ok) {
		p.m.memory = memory;
		p.m.trackers = memory->trackers;
		p.m.web_seeds = memory->web_seeds;
		p.m.peers = memory->peers;
		p.next = memory->texts;
		p.end = memory->texts + texts;
		ok = parse_parameters(&p, text + strlen(prefix));
	} else {
		error_set(err, "magnet link: out of memory");
	}
	free(p.scratch);
	free(p.bytes);
	if (ok)
		*ret = p.m;
	else
		free(memory);
	return ok;
}

void magnet_finish(struct magnet *m)
{
	free(m->memory);
	*m = (struct magnet){0};
}

static void write_text(struct buffer *b, const char *text)
{
	buffer_append(b, text, strlen(text));
}

static void write_parameter(
	struct buffer *b, const char *key, const char *value)
{
	/* %-escapes take three bytes for one. */
	size_t size = 3 * strlen(value) + 1;
	char *escaped = malloc(size);

	if (!escaped) {
		b->failed = true;
		return;
	}
	text_percent_encode(
		(struct span){(const uint8_t *)value, strlen(value)}, escaped,
		size);
	write_text(b, key);
	write_text(b, escaped);
	free(escaped);
}

/* Others (libtorrent) do not decode this one. */
static void write_peer(struct buffer *b, const char *peer)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-:[]";

	if (peer[strspn(peer, plain)] != '\0') {
		write_parameter(b, "&x.pe=", peer);
		return;
	}
	write_text(b, "&x.pe=");
	write_text(b, peer);
}

bool magnet_write(const struct magnet *m, struct buffer *ret)
{
	char hex[INFO_HASH_HEX_SIZE];
	char length[32];

	info_hash_hex(&m->info_hash, hex);
	write_text(ret, prefix);
	write_text(ret, "xt=");
	write_text(ret, urn_v1);
	write_text(ret, hex);
	if (*m->name)
		write_parameter(ret, "&dn=", m->name);
	if (m->length > 0) {
		snprintf(length, sizeof(length), "&xl=%" PRIu64, m->length);
		write_text(ret, length);
	}
	for (size_t i = 0; i < m->tracker_count; i++)
		write_parameter(ret, "&tr=", m->trackers[i]);
	for (size_t i = 0; i < m->web_seed_count; i++)
		write_parameter(ret, "&ws=", m->web_seeds[i]);
	for (size_t i = 0; i < m->peer_count; i++)
		write_peer(ret, m->peers[i]);
	if (m->select_only) {
		write_text(ret, "&so="); /* digits, commas and dashes */
		write_text(ret, m->select_only);
	}
	return !ret->failed;
}
