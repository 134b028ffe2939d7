#include <criterion/criterion.h>
#include <signal.h>

#include "shared/clock.h"
#include "shared/stop_signals.h"

static void block(void)
{
	sigset_t set = stop_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void let_pass(uint64_t ms)
{
	uint64_t begin_ms = clock_ms();

	while (clock_ms() - begin_ms <= ms)
		;
}

Test(stop_signals, at_the_beginning_one_is_enough, .exit_code = 1)
{
	stop_signals_end_at_first("program: stopped\n");
	raise(SIGTERM);
}

Test(stop_signals, one_sent_twice_at_once_is_one)
{
	block();
	stop_signals_end_at_second(true);
	raise(SIGINT);
	raise(SIGTERM);
}

Test(stop_signals, one_that_was_held_back_is_the_first)
{
	block();
	raise(SIGTERM);
	stop_signals_end_at_second(false);
	raise(SIGTERM);
}

Test(stop_signals, the_second_one_ends_the_process, .exit_code = 1)
{
	block();
	stop_signals_end_at_second(true);
	let_pass(STOP_SIGNALS_SAME_MS);
	raise(SIGTERM);
}

Test(stop_signals, without_a_first_one_it_takes_two, .exit_code = 1)
{
	block();
	stop_signals_end_at_second(false);
	raise(SIGINT);
	let_pass(STOP_SIGNALS_SAME_MS);
	raise(SIGINT);
}
