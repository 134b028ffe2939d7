#include <criterion/criterion.h>
#include <string.h>

#include "shared/endpoint.h"
#include "tracker/connection_id.h"

static const struct connection_ids ids = {.key = "sixteen bytes..."};

static struct endpoint at(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e), "%s", text);
	return e;
}

/* The vectors of the paper's authors: key 00 01 .. 0f, message 00 01 .. */
Test(siphash, gives_the_published_vectors)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} cases[] = {
		{0, 0x726fdb47dd0e0e31},
		{1, 0x74f839c593dc67fd},
		{7, 0xab0200f58b01d137},
		{8, 0x93f5f5799a932462},
		{15, 0xa129ca6149be45e5},
	};
	uint8_t bytes[SIPHASH_KEY_SIZE];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(siphash(bytes, bytes, cases[i].len), cases[i].hash,
			"%zu bytes", cases[i].len);
}

Test(connection_id, is_good_for_one_to_two_minutes)
{
	static const struct {
		uint64_t made_s, asked_s;
		bool good;
	} cases[] = {
		{0, 0, true},
		{0, 119, true},
		{0, 120, false},
		{59, 59, true},
		{59, 119, true},
		{59, 120, false},
		{60, 59, false}, /* from the future: the clock is not ours */
		{60, 179, true},
		{60, 180, false},
		{1000000000, 1000000060, true},
		{1000000000, 1000000120, false},
	};
	struct endpoint client = at("192.0.2.1:1234");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t id =
			connection_id_make(&ids, &client, cases[i].made_s);

		cr_expect_eq(connection_id_valid(
				     &ids, &client, cases[i].asked_s, id),
			cases[i].good, "%zu", i);
	}
}

Test(connection_id, is_good_for_its_address_whatever_the_port)
{
	static const struct {
		const char *address;
		bool good;
	} cases[] = {
		{"192.0.2.1:1234", true}, {"192.0.2.1:4321", true},
		{"192.0.2.2:1234", false}, {"[2001:db8::1]:1234", false},
		{"[::ffff:192.0.2.1]:1234", true}, /* the same one */
	};
	struct endpoint client = at("192.0.2.1:1234");
	uint64_t id = connection_id_make(&ids, &client, 100);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint other = at(cases[i].address);

		cr_expect_eq(connection_id_valid(&ids, &other, 100, id),
			cases[i].good, "%s", cases[i].address);
	}
}

Test(connection_id, is_not_guessed)
{
	struct endpoint client = at("[2001:db8::1]:6881");
	uint64_t id = connection_id_make(&ids, &client, 100);
	struct connection_ids others[2] = {
		connection_ids_random(), connection_ids_random()};

	cr_expect(!connection_id_valid(&ids, &client, 100, 0));
	cr_expect(!connection_id_valid(&ids, &client, 100, 0x41727101980));
	for (unsigned bit = 0; bit < 64; bit++)
		cr_expect(!connection_id_valid(
			&ids, &client, 100, id ^ UINT64_C(1) << bit));
	cr_expect(!connection_id_valid(&others[0], &client, 100, id));
	cr_expect_neq(memcmp(&others[0], &others[1], sizeof(others[0])), 0);
}
