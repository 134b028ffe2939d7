#ifndef CLIENT_SESSION_KEEPER_H
#define CLIENT_SESSION_KEEPER_H

struct session_context;

/* The thread for what takes long on disk and must not hold up a worker or the
 * coordinator: the end of a download (the rest of the files, sync), and the
 * resume file at intervals. */
struct keeper;

enum { KEEPER_SAVE_MS = 30 * 1000 };

/* NULL: out of memory or no thread. */
struct keeper *keeper_start(const struct session_context *session);

/* A torrent has its last piece.  Any thread; NULL is allowed. */
void keeper_poke(struct keeper *k);

/* Ends the thread after what it is doing.  NULL is allowed. */
void keeper_destroy(struct keeper *k);

#endif
