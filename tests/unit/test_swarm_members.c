#include <criterion/criterion.h>

#include "client/session/swarm_members.h"

static struct pex_peer peer(uint16_t port)
{
	return (struct pex_peer){.address = {.ip = {1}, .port = port}};
}

Test(swarm_members, members_are_those_of_their_torrent)
{
	struct swarm_members *m = swarm_members_create(3);
	struct pex_peer one = peer(1), two = peer(2), three = peer(3);
	struct pex_peer got[3];

	cr_assert(m);
	cr_expect_eq(swarm_members_list(m, 0, got, 3), 0);
	swarm_members_put(m, 0, 0, &one);
	swarm_members_put(m, 1, 1, &two);
	swarm_members_put(m, 2, 0, &three);

	cr_assert_eq(swarm_members_list(m, 0, got, 3), 2);
	cr_expect_eq(got[0].address.port, 1);
	cr_expect_eq(got[1].address.port, 3);
	cr_expect_eq(swarm_members_list(m, 0, got, 1), 1, "no more than fit");
	cr_assert_eq(swarm_members_list(m, 1, got, 3), 1);
	cr_expect_eq(got[0].address.port, 2);
	swarm_members_destroy(m);
}

Test(swarm_members, who_is_gone_is_no_member)
{
	struct swarm_members *m = swarm_members_create(1);
	struct pex_peer one = peer(1), two = peer(2), got;

	cr_assert(m);
	swarm_members_put(m, 0, 0, &one);
	swarm_members_put(m, 0, 0, &two);
	cr_assert_eq(swarm_members_list(m, 0, &got, 1), 1);
	cr_expect_eq(got.address.port, 2, "the same worker's");
	swarm_members_remove(m, 0);
	cr_expect_eq(swarm_members_list(m, 0, &got, 1), 0);
	swarm_members_remove(m, 0);
	swarm_members_destroy(m);
	swarm_members_destroy(NULL);
}
