#include "tests/bench/limit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "client/peer/handshake.h"

_Noreturn void limit_end(const char *why)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
	exit(1);
}

_Noreturn void limit_fail(const char *what)
{
	struct error err;

	error_set_errno(&err, "%s", what);
	limit_end(err.text);
}

void limit_load(const char *path, struct metainfo *ret)
{
	struct error err;

	if (!metainfo_load(path, ret, &err))
		limit_end(err.text);
}

void limit_send(int fd, const void *bytes, size_t len)
{
	/* A blocking send is short only when something is wrong. */
	if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		limit_fail("send");
}

void limit_receive(int fd, void *ret, size_t len)
{
	if (recv(fd, ret, len, MSG_WAITALL) != (ssize_t)len)
		limit_fail("receive");
}

void limit_greet(int fd, const struct info_hash *hash)
{
	struct handshake ours = {.info_hash = *hash};
	struct handshake theirs;
	uint8_t bytes[HANDSHAKE_SIZE];

	handshake_make_peer_id(ours.peer_id);
	handshake_write(&ours, bytes);
	limit_send(fd, bytes, sizeof(bytes));
	limit_receive(fd, bytes, sizeof(bytes));
	if (!handshake_read((struct span){bytes, sizeof(bytes)}, &theirs) ||
		!info_hash_equal(&theirs.info_hash, hash))
		limit_end("not the handshake that was expected");
}
