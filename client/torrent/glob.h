#ifndef CLIENT_TORRENT_GLOB_H
#define CLIENT_TORRENT_GLOB_H

#include <stdbool.h>

/* Does `text` as a whole match `pattern`?  `?` is one character, `*` any number
 * of them, `[a-z]` and `[!a-z]` one of a set; none of these is a '/'.  `**` is
 * anything, slashes too, and with a slash behind it also nothing, so that
 * "a/" and "**" and "/b" together match "a/b".  `\` takes the next character as
 * it is.  A '[' that is not closed stands for itself.
 *
 * Characters are those of UTF-8; no locale is used.  Pure.  Time is at most the
 * product of both lengths, squared where `**` is used. */
bool glob_match(const char *pattern, const char *text);

#endif
