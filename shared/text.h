#ifndef SHARED_TEXT_H
#define SHARED_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/span.h"

/* Text that came from outside, made fit to be shown, and the small encodings
 * of addresses and hashes.  No locale is used. */

/* One line for a person: C0, DEL, C1 and the Unicode line/direction controls
 * become \xNN escapes or '?', invalid UTF-8 becomes \xNN; cut to fit `size`
 * (at a character), always NUL-terminated.  Returns `ret`. */
const char *text_escape(struct span in, char *ret, size_t size);
const char *text_escape_str(const char *in, char *ret, size_t size);

/* Copy as valid UTF-8 without NUL, bad bytes replaced by U+FFFD; cut to fit,
 * NUL-terminated.  Returns the length. */
size_t text_utf8_repair(struct span in, char *ret, size_t size);

/* Whether the bytes are valid UTF-8 (no overlong forms, no surrogates). */
bool text_utf8_valid(struct span in);

/* Length of the valid UTF-8 character at the start of `in`, 0 if none. */
size_t text_utf8_char(struct span in);

/* The code point of a valid character of `len` bytes. */
uint32_t text_code_point(const uint8_t *at, size_t len);

/* %-escape all but unreserved characters; false if it does not fit. */
bool text_percent_encode(struct span in, char *ret, size_t size);

/* %-escape spaces alone, in place: what URLs in the wild have left raw.  `size`
 * is that of the memory; false if they do not fit: `text` is as before. */
bool text_escape_spaces(char *text, size_t size);

/* Undo %-escapes ('+' stays); returns false on a broken escape or no room. */
bool text_percent_decode(
	struct span in, uint8_t *ret, size_t size, size_t *ret_len);

/* The value of a hexadecimal digit, or -1. */
int text_hex_value(uint8_t c);

/* Exactly 2 * `len` digits of either case, or false. */
bool text_hex_decode(const char *in, uint8_t *ret, size_t len);
void text_hex_encode(const void *in, size_t len, char *ret); /* 2*len + NUL */

/* "1.4 GiB", "312 B"; "1 h 02 min", "45 s".  For people.  Return `ret`. */
enum { TEXT_UNIT_SIZE = 40 };
const char *text_size(uint64_t bytes, char ret[TEXT_UNIT_SIZE]);
const char *text_duration(uint64_t seconds, char ret[TEXT_UNIT_SIZE]);

/* A size such as "16K", "1.5M", "2G" (1024-based; the suffix may be followed
 * by iB or B).  False: no such thing, or over `max`. */
bool text_parse_size(const char *text, uint64_t max, uint64_t *ret);

/* A whole decimal number within [min, max], nothing around it. */
bool text_parse_number(
	const char *text, uint64_t min, uint64_t max, uint64_t *ret);

#endif
