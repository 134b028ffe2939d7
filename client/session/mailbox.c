#include "client/session/mailbox.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool mailbox_init(struct mailbox *m)
{
	atomic_init(&m->letters, 0);
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return m->wake_fd >= 0;
}

void mailbox_finish(struct mailbox *m)
{
	if (m->wake_fd >= 0)
		close(m->wake_fd);
	m->wake_fd = -1;
}

void mailbox_wake(struct mailbox *m)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full: then it is readable. */
	(void)!write(m->wake_fd, &one, sizeof(one));
}

void mailbox_post(struct mailbox *m, enum letter letter)
{
	atomic_fetch_or(&m->letters, (unsigned)letter);
	mailbox_wake(m);
}

unsigned mailbox_peek(const struct mailbox *m)
{
	return atomic_load(&m->letters);
}

void mailbox_calm(struct mailbox *m)
{
	uint64_t count;

	(void)!read(m->wake_fd, &count, sizeof(count));
}

void mailbox_clear(struct mailbox *m)
{
	atomic_store(&m->letters, 0);
	mailbox_calm(m);
}
