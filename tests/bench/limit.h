#ifndef TESTS_BENCH_LIMIT_H
#define TESTS_BENCH_LIMIT_H

#include <stddef.h>
#include <stdint.h>

#include "shared/info_hash.h"
#include "shared/metainfo.h"

/* What limit_seed and limit_leech share: peers that do what the protocol asks
 * for and nothing else, so that their speed is what tbt-client could reach at
 * best on the same machine (scripts/bench --check).  They trust each other, do
 * not look for peers, and at the first surprise they end. */

enum {
	LIMIT_BATCH = 64, /* blocks in one system call */
	LIMIT_BATCH_BYTES = LIMIT_BATCH * 16 * 1024,
};

/* Say "NAME: WHY", or "NAME: WHAT: the words for errno", and exit(1). */
_Noreturn void limit_end(const char *why);
_Noreturn void limit_fail(const char *what);

/* Open a torrent, or end. */
void limit_load(const char *path, struct metainfo *ret);

void limit_send(int fd, const void *bytes, size_t len);

/* Exactly `len` bytes, or end. */
void limit_receive(int fd, void *ret, size_t len);

/* Send our handshake (BEP 3) and read theirs, of the same torrent. */
void limit_greet(int fd, const struct info_hash *hash);

#endif
