#ifndef CLIENT_STORAGE_FILE_TABLE_H
#define CLIENT_STORAGE_FILE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Open descriptors of a storage's files, at most so many: the least recently
 * used one makes room.  A descriptor that somebody holds (a pin) is not closed
 * under him.
 *
 * The table opens nothing itself, so that no I/O happens under its lock:
 *
 *	if (!file_table_find(t, file, write, &pin)) {
 *		file_table_reserve(t, &pin);
 *		open it; on failure file_table_cancel(t, &pin)
 *		file_table_publish(t, &pin, file, fd, write);
 *	}
 *	... pin.fd ...
 *	file_table_release(t, &pin);
 *
 * Threads: any may call everything but destroy at any time.  A thread holds at
 * most one pin: then waiting for a place always ends. */
struct file_table;

struct file_pin {
	int fd;      /* stays the table's */
	size_t file; /* whose it is */
	size_t slot; /* private */
};

/* For at most `max` (> 0) descriptors; NULL: out of memory. */
struct file_table *file_table_create(size_t max);

/* Close them all; NULL is allowed.  Nothing may be pinned. */
void file_table_destroy(struct file_table *t);

/* Pin the descriptor of `file`, if there is one (and it is writable, if it has
 * to be). */
bool file_table_find(
	struct file_table *t, size_t file, bool writable, struct file_pin *ret);

/* Take a place for a descriptor that the caller is going to open; waits while
 * all are pinned.  May close an unused one. */
void file_table_reserve(struct file_table *t, struct file_pin *ret);

/* Give the reserved place back. */
void file_table_cancel(struct file_table *t, const struct file_pin *pin);

/* Put `fd` into the reserved place; it is the table's now.  When somebody else
 * was faster, `fd` is closed and the pin moves to his.  A writable one replaces
 * a read-only one. */
void file_table_publish(struct file_table *t, struct file_pin *pin, size_t file,
	int fd, bool writable);

void file_table_release(struct file_table *t, const struct file_pin *pin);

/* Close whatever is not in use: descriptors have run out, or files were
 * replaced. */
void file_table_close_unused(struct file_table *t);

/* Pin whatever is open in place `slot` (below file_table_max()), to look at all
 * of them; false: nothing. */
bool file_table_at(struct file_table *t, size_t slot, struct file_pin *ret);
size_t file_table_max(const struct file_table *t);

#endif
