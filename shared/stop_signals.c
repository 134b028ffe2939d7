#include "shared/stop_signals.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/clock.h"

static volatile uint64_t first_ms; /* 0: none has come */
static const char *volatile words = "";

static void on_signal(int number)
{
	uint64_t now_ms = clock_ms();

	(void)number;
	if (first_ms == 0) {
		first_ms = now_ms;
	} else if (now_ms - first_ms >= STOP_SIGNALS_SAME_MS) {
		/* If it fails, there is nobody to tell. */
		ssize_t said = write(STDERR_FILENO, words, strlen(words));
		(void)said;
		_exit(EXIT_FAILURE);
	}
}

sigset_t stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

static void handle(uint64_t first, const char *last_words)
{
	struct sigaction action = {
		.sa_handler = on_signal, .sa_flags = SA_RESTART};

	first_ms = first;
	words = last_words;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

void stop_signals_end_at_first(const char *last_words)
{
	enum { LONG_AGO = 1 };

	handle(LONG_AGO, last_words);
}

void stop_signals_end_at_second(bool first_seen)
{
	sigset_t set = stop_signals();

	/* They are blocked: nobody else looks at first_ms now. */
	handle(first_seen ? clock_ms() : 0, "");
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
