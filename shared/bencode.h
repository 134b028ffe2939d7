#ifndef SHARED_BENCODE_H
#define SHARED_BENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/reader.h"
#include "shared/span.h"

/* Bencoding (BEP 3) is read in place: no tree is built.  A value that breaks
 * the grammar sets `bad` in the reader, as running off the end does, and the
 * call returns false.  Nothing recurses, so foreign bytes cannot exhaust the
 * stack. */

enum { BENCODE_MAX_DEPTH = 100 };

/* A byte string such as `4:spam`.  The length has no sign and no leading
 * zero. */
bool bencode_string(struct reader *r, struct span *ret);

/* An integer such as `i-42e`, within int64_t.  Refused: `i-0e`, `i03e`. */
bool bencode_int(struct reader *r, int64_t *ret);

/* Any one value, whatever it is; `ret` spans its encoding.  This is how the
 * info dictionary is cut out to be hashed (BEP 3), byte for byte as it came.
 * Refused: nesting deeper than BENCODE_MAX_DEPTH, keys that are not strings. */
bool bencode_value(struct reader *r, struct span *ret);

/* Whether `document` is exactly one dictionary, within the grammar, with no
 * key twice in any dictionary (in whatever order they come), and nothing
 * after it but at most one newline.  O(n log n); allocates at most a small
 * multiple of the number of keys.  Metainfo, magnet metadata and resume files
 * are judged by this before anything in them is believed.  Returns the span
 * of the dictionary. */
bool bencode_document(struct span document, struct span *ret);

/* The first byte of the next value ('i', 'l', 'd', a digit), or 0 at the
 * end. */
uint8_t bencode_peek(const struct reader *r);

/* Step into a dictionary or a list. */
bool bencode_dict_begin(struct reader *r);
bool bencode_list_begin(struct reader *r);

/* In a dictionary: read the next key and span its value.  False at the end
 * (which is then read) or when bad; `reader_done`/`bad` tell which. */
bool bencode_dict_next(struct reader *r, struct span *key, struct span *value);

/* In a list: span the next value.  False as above. */
bool bencode_list_next(struct reader *r, struct span *value);

/* Look up `key` in an encoded dictionary; false when `dict` is none or has no
 * such key. */
bool bencode_find(struct span dict, const char *key, struct span *ret);

/* bencode_find, then the value as a string or an integer; false also when it
 * is of another type. */
bool bencode_find_string(struct span dict, const char *key, struct span *ret);
bool bencode_find_int(struct span dict, const char *key, int64_t *ret);

/* Read a dictionary once, from front to back, into a value for each of `keys`
 * (at NULL: not there).  Looking up key by key reads a large one once a key.
 * False: it is none. */
bool bencode_fields(struct span dict, const char *const *keys, size_t count,
	struct span *ret_values);

/* A value found by the above, if it is there and of that type; a list is left
 * open for bencode_list_next(). */
bool bencode_as_string(struct span value, struct span *ret);
bool bencode_as_int(struct span value, int64_t *ret);
bool bencode_as_list(struct span value, struct reader *ret);

/* Whether the span holds exactly this text. */
bool span_is(struct span s, const char *text);

#endif
