#ifndef TESTS_UNIT_DHT_NETWORK_H
#define TESTS_UNIT_DHT_NETWORK_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/discovery/dht.h"
#include "client/discovery/dht_message.h"
#include "shared/writer.h"

/* A network of DHT nodes in memory, with a time of its own, in which packets
 * take a while and some are lost. */

enum {
	NETWORK_NODES_MAX = 256,
	NETWORK_STEP_MS = 10,
	NETWORK_SLOTS = 32, /* steps that a packet may take */
	NETWORK_FOUND_MAX = 64,
};

struct network;

struct network_node {
	struct network *network;
	struct endpoint address;
	struct dht *dht; /* NULL: switched off, or played by the test */
	uint64_t tick_ms;
	uint64_t packets_out, bytes_out;

	/* What it was told of last, if the test plays it. */
	struct endpoint from;
	uint8_t packet[DHT_PACKET_MAX];
	size_t packet_len;
	size_t packets_in, bytes_in;

	size_t found_count;
	struct endpoint found[NETWORK_FOUND_MAX];
};

struct network_packet {
	struct network_packet *next;
	struct endpoint from, to;
	size_t len;
	uint8_t bytes[DHT_PACKET_SENT_MAX];
};

struct network {
	uint64_t now_ms;
	unsigned loss; /* of 100 packets */
	size_t count;
	struct network_node nodes[NETWORK_NODES_MAX];
	struct network_packet *slots[NETWORK_SLOTS];
};

/* The same dice each time. */
static uint64_t network_dice_state = 88172645463325252u;

static inline uint32_t network_dice(void)
{
	network_dice_state ^= network_dice_state << 13;
	network_dice_state ^= network_dice_state >> 7;
	network_dice_state ^= network_dice_state << 17;
	return (uint32_t)(network_dice_state >> 16);
}

static inline void network_random(void *ret, size_t len)
{
	uint8_t *at = ret;

	while (len-- > 0)
		*at++ = (uint8_t)network_dice();
}

static inline struct endpoint network_address(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e), "%s", text);
	return e;
}

/* Put a packet on its way. */
static inline void network_send(struct network *n, const struct endpoint *from,
	const struct endpoint *to, const void *bytes, size_t len)
{
	struct network_packet *p = malloc(sizeof(*p));
	uint64_t steps = 1 + network_dice() % (NETWORK_SLOTS / 2);

	cr_assert(p && len <= sizeof(p->bytes));
	p->from = *from;
	p->to = *to;
	p->len = len;
	memcpy(p->bytes, bytes, len);
	size_t slot = (n->now_ms / NETWORK_STEP_MS + steps) % NETWORK_SLOTS;
	p->next = n->slots[slot];
	n->slots[slot] = p;
}

static inline void network_on_send(
	void *ctx, const struct endpoint *to, struct span packet)
{
	struct network_node *node = ctx;

	node->packets_out++;
	node->bytes_out += packet.len;
	if (network_dice() % 100 >= node->network->loss)
		network_send(node->network, &node->address, to, packet.at,
			packet.len);
}

static inline void network_on_peers(void *ctx, const struct info_hash *torrent,
	const struct endpoint *peers, size_t count)
{
	struct network_node *node = ctx;

	(void)torrent;
	for (size_t i = 0; i < count; i++) {
		if (node->found_count < NETWORK_FOUND_MAX)
			node->found[node->found_count++] = peers[i];
	}
}

static inline void network_switch_on(
	struct network *n, struct network_node *node, bool read_only)
{
	struct dht_options o = {
		.v4 = true,
		.v6 = true,
		.read_only = read_only,
		.ctx = node,
		.random = network_random,
		.send = network_on_send,
		.peers = network_on_peers,
	};

	node->dht = dht_create(&o, n->now_ms);
	cr_assert(node->dht);
	node->tick_ms = n->now_ms;
}

/* A place at an address; the test plays it until it is switched on. */
static inline struct network_node *network_place(
	struct network *n, struct endpoint address)
{
	struct network_node *node = &n->nodes[n->count++];

	cr_assert(n->count <= NETWORK_NODES_MAX);
	*node = (struct network_node){.network = n, .address = address};
	return node;
}

static inline struct network_node *network_add(
	struct network *n, const char *address)
{
	struct network_node *node = network_place(n, network_address(address));

	network_switch_on(n, node, false);
	return node;
}

static inline struct network_node *network_find(
	struct network *n, const struct endpoint *address)
{
	for (size_t i = 0; i < n->count; i++) {
		if (endpoint_equal(&n->nodes[i].address, address))
			return &n->nodes[i];
	}
	return NULL;
}

static inline void network_deliver(
	struct network *n, const struct network_packet *p)
{
	struct network_node *node = network_find(n, &p->to);

	if (!node)
		return;
	if (node->dht) {
		dht_packet(node->dht, &p->from, (struct span){p->bytes, p->len},
			n->now_ms);
		return;
	}
	node->from = p->from;
	memcpy(node->packet, p->bytes, p->len);
	node->packet_len = p->len;
	node->packets_in++;
	node->bytes_in += p->len;
}

static inline void network_run(struct network *n, uint64_t for_ms)
{
	uint64_t end_ms = n->now_ms + for_ms;

	for (; n->now_ms < end_ms; n->now_ms += NETWORK_STEP_MS) {
		size_t slot = n->now_ms / NETWORK_STEP_MS % NETWORK_SLOTS;
		struct network_packet *p = n->slots[slot];

		n->slots[slot] = NULL;
		while (p) {
			struct network_packet *next = p->next;
			network_deliver(n, p);
			free(p);
			p = next;
		}
		for (size_t i = 0; i < n->count; i++) {
			struct network_node *node = &n->nodes[i];

			if (node->dht && n->now_ms >= node->tick_ms)
				node->tick_ms = n->now_ms +
					dht_tick(node->dht, n->now_ms);
		}
	}
}

static inline void network_finish(struct network *n)
{
	for (size_t i = 0; i < n->count; i++)
		dht_destroy(n->nodes[i].dht);
	for (size_t i = 0; i < NETWORK_SLOTS; i++) {
		struct network_packet *p = n->slots[i];

		while (p) {
			struct network_packet *next = p->next;
			free(p);
			p = next;
		}
	}
}

#endif
