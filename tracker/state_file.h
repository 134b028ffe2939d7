#ifndef TRACKER_STATE_FILE_H
#define TRACKER_STATE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct swarm_store;

/* The swarms of a memory store in a file, over a restart.  Written piece by
 * piece beside it and put in its place whole; a store goes on meanwhile.  What
 * both need of memory is a constant.  Formats: state_format.h. */

/* Two clocks: `now_s` is the store's, `wall_s` that of the calendar, which goes
 * on while the tracker is away. */
struct state_times {
	uint64_t now_s;
	uint64_t wall_s;
};

/* `stop` (or NULL) set: give up, false.  On false the file that was there still
 * is, and `err` names it. */
bool state_file_save(const char *path, struct swarm_store *store,
	const struct state_times *times, const atomic_bool *stop,
	struct error *err);

struct state_loaded {
	size_t peers;
	size_t expired; /* left out, since it is too long that they were heard
			   of */
	struct error damage; /* "": the file was good to its end */
};

/* Take those peers of the file in that were heard of less than `keep_s` ago. No
 * file: none.  A file that is damaged or cut: what is before the damage, and
 * `ret->damage` tells, with the file's name.  One that does not begin as ours
 * is renamed to PATH.old.  False: that cannot be done, or it cannot be opened,
 * or is no file, or its folder cannot be written. */
bool state_file_load(const char *path, struct swarm_store *store,
	const struct state_times *times, uint64_t keep_s,
	struct state_loaded *ret, struct error *err);

#endif
