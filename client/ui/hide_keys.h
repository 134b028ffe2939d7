#ifndef CLIENT_UI_HIDE_KEYS_H
#define CLIENT_UI_HIDE_KEYS_H

#include <stddef.h>

/* Passkeys are part of the announce URLs of private trackers and are not shown
 * to anybody (PROMISES P8).  Nobody can know for sure what is one, so rather
 * too much is cut out than too little.  Both return `ret`, cut to fit. */

/* The URL of a tracker or torrent, or a magnet link, with "..." for user and
 * password, for every value in the query, and for elements of the path that
 * look like a key. */
const char *hide_keys_in_url(const char *url, char *ret, size_t size);

/* What a tracker said, with "..." for words that look like a key. */
const char *hide_keys_in_text(const char *text, char *ret, size_t size);

#endif
