#include "tracker/connection_id.h"

#include <string.h>

#include "shared/endpoint.h"
#include "shared/random_bytes.h"

enum { WINDOW_S = 60 };

struct connection_ids connection_ids_random(void)
{
	struct connection_ids ids;

	random_bytes(ids.key, sizeof(ids.key));
	return ids;
}

static uint64_t id_of(const struct connection_ids *ids,
	const struct endpoint *client, uint64_t window)
{
	uint8_t message[sizeof(client->ip) + sizeof(window)];

	memcpy(message, client->ip, sizeof(client->ip));
	memcpy(message + sizeof(client->ip), &window, sizeof(window));
	return siphash(ids->key, message, sizeof(message));
}

uint64_t connection_id_make(const struct connection_ids *ids,
	const struct endpoint *client, uint64_t now_s)
{
	return id_of(ids, client, now_s / WINDOW_S);
}

bool connection_id_valid(const struct connection_ids *ids,
	const struct endpoint *client, uint64_t now_s, uint64_t id)
{
	uint64_t window = now_s / WINDOW_S;

	return id == id_of(ids, client, window) ||
		(window > 0 && id == id_of(ids, client, window - 1));
}
