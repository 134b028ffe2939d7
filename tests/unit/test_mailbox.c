#include "client/session/mailbox.h"

#include <criterion/criterion.h>
#include <poll.h>

static bool rings(const struct mailbox *m)
{
	struct pollfd polled = {.fd = m->wake_fd, .events = POLLIN};

	return poll(&polled, 1, 0) == 1;
}

Test(mailbox, letters_gather_and_are_not_taken_by_a_look)
{
	struct mailbox m;

	cr_assert(mailbox_init(&m));
	cr_expect_eq(mailbox_peek(&m), 0);
	cr_expect_not(rings(&m));
	mailbox_post(&m, LETTER_BANNED);
	mailbox_post(&m, LETTER_BANNED);
	mailbox_post(&m, LETTER_STOP);
	cr_expect_eq(mailbox_peek(&m), LETTER_BANNED | LETTER_STOP);
	cr_expect_eq(mailbox_peek(&m), LETTER_BANNED | LETTER_STOP);
	mailbox_finish(&m);
}

Test(mailbox, calming_stops_the_ring_and_keeps_the_letters)
{
	struct mailbox m;

	cr_assert(mailbox_init(&m));
	mailbox_calm(&m); /* does not wait for one */
	mailbox_post(&m, LETTER_MAKE_ROOM);
	mailbox_post(&m, LETTER_MAKE_ROOM);
	cr_expect(rings(&m));
	mailbox_calm(&m);
	cr_expect_not(rings(&m));
	cr_expect_eq(mailbox_peek(&m), LETTER_MAKE_ROOM);
	mailbox_finish(&m);
}

Test(mailbox, a_new_peer_finds_it_empty)
{
	struct mailbox m;

	cr_assert(mailbox_init(&m));
	mailbox_post(&m, LETTER_DUPLICATE);
	mailbox_clear(&m);
	cr_expect_eq(mailbox_peek(&m), 0);
	cr_expect_not(rings(&m));
	mailbox_finish(&m);
	mailbox_finish(&m);
}
