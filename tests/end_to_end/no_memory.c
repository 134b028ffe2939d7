/* Preloaded (LD_PRELOAD): the call for memory number FAIL_AT, and with
 * FAIL_FROM each from that number on, finds none.  For a test that a program
 * says so.
 *
 * glibc's own names for what is replaced here: dlsym() asks for memory. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static atomic_ulong calls;
static unsigned long fail_at, fail_from;

static unsigned long number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void)
{
	fail_at = number_of("FAIL_AT");
	fail_from = number_of("FAIL_FROM");
	atomic_store(&calls, 0);
}

static bool fails(void)
{
	unsigned long call = atomic_fetch_add(&calls, 1) + 1;

	if (call != fail_at && (fail_from == 0 || call < fail_from))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}
