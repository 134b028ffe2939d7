#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>

#include "client/session/events.h"
#include "client/ui/progress.h"
#include "shared/log.h"

static const struct info_hash hash = {{1}};

static void redirect_both(void)
{
	cr_redirect_stdout();
	cr_redirect_stderr();
	log_init("tbt-client", LOG_NORMAL);
}

static void announce(struct progress *p, const char *url, const char *error)
{
	progress_on_event(p,
		&(struct event){.kind = EVENT_ANNOUNCE,
			.torrent = &hash,
			.name = "moby.txt",
			.announce = {.url = url,
				.sent = ANNOUNCE_STARTED,
				.error = error}});
}

Test(progress, a_trackers_failure_is_told_once_until_it_changes,
	.init = redirect_both)
{
	struct progress *p = progress_create(PROGRESS_PLAIN, false);

	announce(p, "udp://a:1", "no answer");
	announce(p, "udp://a:1", "no answer");
	announce(p, "udp://b:1/0123456789abcdef", "no\n0123456789abcdef");
	announce(p, "udp://a:1", "no answer");
	announce(p, "udp://a:1", "refused");
	announce(p, "udp://a:1", NULL);
	announce(p, "udp://a:1", "refused");
	progress_destroy(p);
	cr_assert_stderr_eq_str(
		"tbt-client: moby.txt: udp://a:1: no answer\n"
		"tbt-client: moby.txt: udp://b:1/...: no\\x0a...\n"
		"tbt-client: moby.txt: udp://a:1: refused\n"
		"tbt-client: moby.txt: udp://a:1: refused\n");
}

static void emit_whole_download(struct progress *p)
{
	static const struct event events[] = {
		{.kind = EVENT_LISTENING, .listening.port = 6881},
		{.kind = EVENT_METADATA,
			.torrent = &hash,
			.name = "a\nb",
			.metadata = {.pieces = 1,
				.piece_length = 16384,
				.length = 5000,
				.files = 1,
				.files_on_disk = 1}},
		{.kind = EVENT_CHECKED,
			.torrent = &hash,
			.name = "a\nb",
			.checked = {0, 1}},
		{.kind = EVENT_COMPLETE,
			.torrent = &hash,
			.name = "a\nb",
			.complete = {5000, 2, 2500}},
		{.kind = EVENT_STOPPED,
			.torrent = &hash,
			.name = "a\nb",
			.stopped = {5000, 0, 5000, 5000}},
		{.kind = EVENT_ERROR, .text.message = "main prints it"},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		progress_on_event(p, &events[i]);
}

Test(progress, plain_lines_tell_a_download, .init = redirect_both)
{
	struct progress *p = progress_create(PROGRESS_PLAIN, false);

	emit_whole_download(p);
	progress_destroy(p);
	cr_assert_stdout_eq_str(
		"listening on port 6881\n"
		"a\\x0ab: 4.9 KiB in 1 file, 1 piece of 16.0 KiB\n"
		"a\\x0ab: complete: 4.9 KiB in 2.0 s, 2.4 KiB/s\n"
		"a\\x0ab: stopped: 4.9 KiB of 4.9 KiB here, 4.9 KiB down, 0 B "
		"up\n");
}

Test(progress, what_was_complete_has_no_speed, .init = redirect_both)
{
	struct progress *p = progress_create(PROGRESS_PLAIN, false);

	progress_on_event(p,
		&(struct event){.kind = EVENT_COMPLETE,
			.torrent = &hash,
			.name = "a",
			.complete = {5000, 0.1, 0}});
	progress_destroy(p);
	cr_assert_stdout_eq_str(
		"a: complete: 4.9 KiB, which were here already\n");
}

Test(progress, what_is_selected_is_told, .init = redirect_both)
{
	struct progress *p = progress_create(PROGRESS_PLAIN, false);

	progress_on_event(p,
		&(struct event){.kind = EVENT_METADATA,
			.torrent = &hash,
			.name = "a",
			.metadata = {.pieces = 9,
				.piece_length = 16384,
				.length = 140000,
				.files = 4,
				.files_on_disk = 3,
				.selected = (const uint8_t[]){0, 1, 0, 0},
				.selected_files = 1,
				.selected_length = 5000}});
	progress_destroy(p);
	cr_assert_stdout_eq_str(
		"a: 136.7 KiB in 3 files, 9 pieces of 16.0 KiB\n"
		"a: 1 file of it selected, 4.9 KiB\n");
}

Test(progress, a_quiet_one_says_nothing, .init = redirect_both)
{
	struct progress *p = progress_create(PROGRESS_QUIET, false);

	emit_whole_download(p);
	progress_destroy(p);
	fputs("end", stdout);
	fflush(stdout);
	cr_assert_stdout_eq_str("end");
}

Test(progress, a_warning_is_one_line_on_stderr, .init = redirect_both)
{
	struct progress *p = progress_create(PROGRESS_TERMINAL, false);

	progress_on_event(p,
		&(struct event){.kind = EVENT_WARNING,
			.text.message = "resume: damaged\x1b"});
	progress_destroy(p);
	progress_destroy(NULL);
	cr_assert_stderr_eq_str("tbt-client: resume: damaged\\x1b\n");
}
