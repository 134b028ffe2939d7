/* Whole sessions in one process, a seed and leeches on loopback, started and
 * stopped in every state: what is complete is right, what was stopped goes on
 * the next time, and no thread or descriptor stays behind.  Run it under the
 * thread sanitizer: meson setup -Db_sanitize=thread. */

#include "client/session/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/torrent/make_torrent.h"
#include "shared/buffer.h"
#include "shared/clock.h"
#include "shared/metainfo.h"

enum {
	LENGTH = 6 * 1024 * 1024 + 12345,
	PIECE_LENGTH = 64 * 1024,
	PATIENCE_MS = 40 * 1000, /* sanitizers and busy machines are slow */
	SLOW = 3 * 1024 * 1024,  /* bytes a second, to be stopped in between */
};

static struct metainfo torrent;
static uint8_t *content;

/* One session, and what it told. */
struct party {
	struct events *events;
	struct session *session;
	struct endpoint bind, peers[2];
	atomic_uint port, checked, pieces, complete, errors;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void require(bool truth, const char *what)
{
	if (!truth)
		die(what, "failed");
}

static void listen_to(void *ctx, const struct event *event)
{
	struct party *p = ctx;

	switch (event->kind) {
	case EVENT_LISTENING:
		p->port = event->listening.port;
		break;
	case EVENT_CHECKED:
		p->checked++;
		break;
	case EVENT_PIECE:
		require(!event->piece.failed, "a piece");
		p->pieces++;
		break;
	case EVENT_COMPLETE:
		p->complete++;
		break;
	case EVENT_ERROR:
		fprintf(stderr, "error: %s\n", event->text.message);
		p->errors++;
		break;
	default:
		break;
	}
}

/* ---- parties ---- */

struct plan {
	enum session_mode mode;
	const char *folder;
	unsigned peer_ports[2]; /* 0: none */
	uint64_t download_limit, upload_limit;
	bool seed_after;
};

static void start(struct party *p, const struct plan *plan)
{
	struct error err;
	size_t count = 0;

	*p = (struct party){.events = events_create()};
	require(endpoint_parse("127.0.0.1:0", &p->bind), "address");
	for (size_t i = 0; i < 2; i++) {
		if (plan->peer_ports[i] == 0)
			continue;
		p->peers[count] = p->bind;
		p->peers[count++].port = (uint16_t)plan->peer_ports[i];
	}
	struct session_options options = {
		.bind = &p->bind,
		.no_lsd = true, /* such tests may run side by side */
		.workers = 5,
		.peers = p->peers,
		.peer_count = count,
		.download_limit = plan->download_limit,
		.upload_limit = plan->upload_limit,
		.seed_after = plan->seed_after,
		.seed_time_s = UINT64_MAX,
		.seed_ratio = -1,
	};

	events_listen(p->events, listen_to, p);
	p->session = session_create(&options, p->events, &err);
	if (!p->session)
		die("session_create", err.text);
	if (!session_add(
		    p->session, &torrent, plan->folder, NULL, plan->mode, &err))
		die("session_add", err.text);
	if (!session_start(p->session, &err))
		die("session_start", err.text);
}

static bool stop(struct party *p)
{
	struct error err;
	uint64_t begin = clock_ms();
	bool ok = session_stop(p->session, &err);

	require(clock_ms() - begin < 5000, "a stop within 5 s");
	session_destroy(p->session);
	events_destroy(p->events);
	require(p->errors == 0, "no errors");
	return ok;
}

static void wait_until(const atomic_uint *value, unsigned least)
{
	uint64_t deadline = clock_ms() + PATIENCE_MS;

	while (*value < least) {
		require(clock_ms() < deadline, "something in time");
		usleep(1000);
	}
}

static void wait_for_end(const struct party *p)
{
	struct pollfd polled = {.fd = session_fd(p->session), .events = POLLIN};

	require(poll(&polled, 1, PATIENCE_MS) == 1, "an end in time");
}

static void start_seed(struct party *seed, uint64_t upload_limit)
{
	start(seed,
		&(struct plan){.mode = SESSION_SEED,
			.folder = "seed",
			.upload_limit = upload_limit});
	wait_until(&seed->checked, 1);
	/* Its doors open a moment later; who comes sooner tries once more after
	 * seconds, which would only make this slow. */
	usleep(50 * 1000);
}

static void start_leech(struct party *leech, const char *folder, unsigned port,
	unsigned other_port, uint64_t download_limit)
{
	start(leech,
		&(struct plan){.mode = SESSION_LEECH,
			.folder = folder,
			.peer_ports = {port, other_port},
			.download_limit = download_limit});
}

/* ---- files ---- */

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_folder(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_content(const char *path)
{
	uint32_t state = 1;
	FILE *f = fopen(path, "wb");

	content = malloc(LENGTH);
	require(f && content, "the content");
	for (size_t i = 0; i < LENGTH; i++) {
		state = state * 1664525 + 1013904223;
		content[i] = (uint8_t)(state >> 24);
	}
	require(fwrite(content, LENGTH, 1, f) == 1, "the content");
	fclose(f);
}

static void make_the_torrent(const char *path)
{
	struct make_torrent what = {
		.path = path, .piece_length = PIECE_LENGTH, .threads = 1};
	struct buffer bytes;
	struct error err;

	buffer_init(&bytes, SIZE_MAX);
	if (!make_torrent(&what, &bytes, &err) ||
		!metainfo_parse(
			(struct span){bytes.bytes, bytes.len}, &torrent, &err))
		die("make_torrent", err.text);
	buffer_finish(&bytes);
}

static void require_content(const char *path)
{
	uint8_t *found = malloc(LENGTH + 1);
	FILE *f = fopen(path, "rb");

	require(f && found && fread(found, 1, LENGTH + 1, f) == LENGTH &&
			memcmp(found, content, LENGTH) == 0,
		path);
	fclose(f);
	free(found);
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	require(dir != NULL, path);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* ---- scenes ---- */

static void one_leech_completes(void)
{
	struct party seed, leech;

	start_seed(&seed, 0);
	start_leech(&leech, "one", seed.port, 0, 0);
	wait_for_end(&leech);
	require(stop(&leech), "the leech is complete");
	require(leech.complete == 1, "told once");
	require(leech.pieces == torrent.piece_count, "each piece once");
	require(stop(&seed), "the seed did its job");
	require_content("one/content");
	remove_folder("one");
}

static void two_leeches_help_each_other(void)
{
	struct party seed, a, b;

	start_seed(&seed, SLOW);
	start(&a,
		&(struct plan){.mode = SESSION_LEECH,
			.folder = "a",
			.peer_ports = {seed.port},
			.seed_after = true});
	start_leech(&b, "b", seed.port, a.port, 0);
	wait_for_end(&b);
	wait_until(&a.complete, 1);
	require(stop(&b), "b is complete");
	require(stop(&a), "a is complete");
	require(stop(&seed), "the seed did its job");
	require_content("a/content");
	require_content("b/content");
	remove_folder("a");
	remove_folder("b");
}

/* Stopped in the midst of it, again and again; then it goes on to the end with
 * what it had. */
static void a_leech_is_stopped_and_goes_on(void)
{
	struct party seed, leech;
	unsigned pieces = 0;

	start_seed(&seed, 0);
	for (unsigned least = 1; least <= 12; least += 4) {
		start_leech(&leech, "on", seed.port, 0, SLOW);
		wait_until(&leech.pieces, least);
		require(!stop(&leech), "stopped before it was complete");
		pieces += leech.pieces;
	}
	start_leech(&leech, "on", seed.port, 0, 0);
	wait_for_end(&leech);
	require(stop(&leech), "complete at last");
	pieces += leech.pieces;
	require(pieces == torrent.piece_count, "no piece twice");
	require(stop(&seed), "the seed did its job");
	require_content("on/content");
	remove_folder("on");
}

static void a_seed_goes_and_comes_again(void)
{
	struct party seed, leech;
	struct plan again = {.mode = SESSION_SEED, .folder = "seed"};

	start_seed(&seed, 0);
	start_leech(&leech, "gone", seed.port, 0, SLOW);
	wait_until(&leech.pieces, 3);
	require(stop(&seed), "the seed did its job");

	/* This time it is the seed that dials. */
	again.peer_ports[0] = leech.port;
	start(&seed, &again);
	usleep(200 * 1000);
	require(!stop(&leech), "stopped before it was complete");
	require(stop(&seed), "the seed did its job");
	remove_folder("gone");
}

static void sessions_are_stopped_at_once(void)
{
	struct party seed, leech;

	for (unsigned i = 0; i < 8; i++) {
		start(&seed,
			&(struct plan){.mode = SESSION_SEED, .folder = "seed"});
		start_leech(&leech, "at-once", seed.port, 0, 0);
		usleep(i * i * 1000);
		(void)stop(i % 2 ? &seed : &leech);
		(void)stop(i % 2 ? &leech : &seed);
	}
	remove_folder("at-once");
}

static const struct scene {
	const char *name;
	void (*play)(void);
} scenes[] = {
	{"one leech completes", one_leech_completes},
	{"two leeches help each other", two_leeches_help_each_other},
	{"a leech is stopped and goes on", a_leech_is_stopped_and_goes_on},
	{"a seed goes and comes again", a_seed_goes_and_comes_again},
	{"sessions are stopped at once", sessions_are_stopped_at_once},
};

int main(void)
{
	char folder[] = "/tmp/tbt-session-XXXXXX";

	require(mkdtemp(folder) && chdir(folder) == 0 &&
			mkdir("seed", 0755) == 0,
		"a folder");
	write_content("seed/content");
	make_the_torrent("seed/content");
	one_leech_completes(); /* libraries make what they keep */

	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		unsigned fds = count_entries("/proc/self/fd");
		unsigned threads = count_entries("/proc/self/task");
		uint64_t begin = clock_ms();

		scenes[i].play();
		printf("%s: %llu ms\n", scenes[i].name,
			(unsigned long long)(clock_ms() - begin));
		require(count_entries("/proc/self/fd") == fds, "descriptors");
		require(count_entries("/proc/self/task") == threads, "threads");
	}
	require(chdir("/") == 0, "the root");
	remove_folder(folder);
	metainfo_finish(&torrent);
	free(content);
	return 0;
}
