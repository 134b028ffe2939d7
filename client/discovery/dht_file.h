#ifndef CLIENT_DISCOVERY_DHT_FILE_H
#define CLIENT_DISCOVERY_DHT_FILE_H

#include <stdbool.h>

#include "shared/buffer.h"

/* Where the nodes of the DHT are kept between runs: `tbt/dht-nodes` in
 * $XDG_STATE_HOME, or in ~/.local/state.  A file that is not there, or cannot
 * be read or written, is no failure: the DHT is then entered anew. */

/* Append what it holds, as far as the buffer takes it.  False: nothing. */
bool dht_file_load(struct buffer *out);

/* Replace it, whole or not at all.  False: it could not be. */
bool dht_file_save(const struct buffer *state);

#endif
