#include "client/torrent/make_torrent.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/torrent/source_files.h"
#include "shared/bencode_writer.h"
#include "shared/cores.h"
#include "shared/digest.h"
#include "shared/digest_pair.h"
#include "shared/metainfo.h"
#include "shared/text.h"

enum {
	/* Of two pieces side by side: small enough to stay in a core's cache
	 * between read and hash. */
	READ_SIZE = 256 * 1024,
	READ_ALIGNMENT = 4096,
	/* What a thread takes at once, if there is enough for all. */
	TURN_SIZE = 4 * 1024 * 1024,
	TURN_PIECES = 2, /* at least */
	PROGRESS_INTERVAL_MS = 100,
	MAX_THREADS = 256,
};

/* The hashing of one content by several threads.  Each takes a run of pieces
 * at a time, so that one large file keeps all busy as well as many small ones,
 * and reads whatever files lie in it. */
struct hashing {
	const struct source_files *source;
	uint32_t piece_length;
	uint32_t piece_count;
	uint32_t turn_pieces;
	uint8_t *hashes; /* each thread writes those of its pieces only */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock`: running fell */

	/* The rest is guarded by `lock`. */
	uint32_t next_piece;
	uint64_t done;
	unsigned running;
	bool failed;
	struct error err; /* once failed */
};

/* A place in the content, from where a thread reads. */
struct place {
	const struct source_files *source;
	uint8_t *buffer; /* READ_SIZE */
	uint64_t offset; /* of the next byte to read */
	size_t file;     /* the one open, if any */
	int fd;          /* -1: none */
};

/* One thread, and the two pieces that it works on. */
struct hasher {
	struct hashing *job;
	struct digest *digest;
	struct digest_pair *pair;
	struct place places[2];
};

static bool take_turn(struct hashing *job, uint32_t *first, uint32_t *end)
{
	pthread_mutex_lock(&job->lock);
	uint32_t left = job->piece_count - job->next_piece;
	bool more = !job->failed && left > 0;
	if (more) {
		*first = job->next_piece;
		*end = *first +
			(left < job->turn_pieces ? left : job->turn_pieces);
		job->next_piece = *end;
	}
	pthread_mutex_unlock(&job->lock);
	return more;
}

/* False: some thread failed, stop. */
static bool report(struct hashing *job, size_t len)
{
	pthread_mutex_lock(&job->lock);
	job->done += len;
	bool go_on = !job->failed;
	pthread_mutex_unlock(&job->lock);
	return go_on;
}

/* The last file that begins at or before `offset` and is not empty. */
static size_t file_at(const struct source_files *s, uint64_t offset)
{
	size_t low = 0;
	size_t high = s->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (s->files[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static bool close_file(struct place *p, struct error *err)
{
	bool ok = source_files_unchanged(p->source, p->file, p->fd, err);

	close(p->fd);
	p->fd = -1;
	return ok;
}

/* Go on from `offset`. */
static bool move_to(struct place *p, uint64_t offset, struct error *err)
{
	p->offset = offset;
	return p->fd < 0 || p->file == file_at(p->source, offset) ||
		close_file(p, err);
}

/* Read up to `len` bytes of the file at the offset; false: `err` names it. */
static bool read_some(
	struct place *p, void *to, size_t len, size_t *ret, struct error *err)
{
	const struct source_files *s = p->source;

	if (p->fd < 0) {
		p->file = file_at(s, p->offset);
		p->fd = source_files_open(s, p->file, err);
		if (p->fd < 0)
			return false;
	}

	const struct source_file *f = &s->files[p->file];
	uint64_t at = p->offset - f->offset;
	if (len > f->size - at)
		len = (size_t)(f->size - at);
	if (!source_files_read(s, p->file, p->fd, at, to, len, ret, err))
		return false;
	p->offset += *ret;
	return at + *ret < f->size || close_file(p, err);
}

/* The next `len` bytes into its buffer. */
static bool fill(struct place *p, size_t len, struct error *err)
{
	for (size_t have = 0; have < len;) {
		size_t n = 0;
		if (!read_some(p, p->buffer + have, len - have, &n, err))
			return false;
		have += n;
	}
	return true;
}

static void update(struct hasher *h, bool two, size_t len)
{
	const uint8_t *first = h->places[0].buffer;

	if (two)
		digest_pair_update(h->pair, first, h->places[1].buffer, len);
	else
		digest_update(h->digest, first, len);
}

/* Hash piece `first` and, if there are `two` whole ones, the next.  True also
 * when another thread failed. */
static bool hash_pieces(
	struct hasher *h, uint32_t first, bool two, struct error *err)
{
	struct hashing *job = h->job;
	uint64_t offset = (uint64_t)first * job->piece_length;
	uint64_t size = job->source->total - offset;
	uint8_t *hash = job->hashes + (size_t)first * SHA1_SIZE;

	if (size > job->piece_length)
		size = job->piece_length;
	if (!move_to(&h->places[0], offset, err) ||
		(two && !move_to(&h->places[1], offset + size, err)))
		return false;
	if (two)
		digest_pair_begin(h->pair);
	else
		digest_begin(h->digest, DIGEST_SHA1);
	for (size_t len; size > 0; size -= len) {
		len = size < READ_SIZE ? (size_t)size : READ_SIZE;
		if (!fill(&h->places[0], len, err) ||
			(two && !fill(&h->places[1], len, err)))
			return false;
		update(h, two, len);
		if (!report(job, two ? 2 * len : len))
			return true;
	}
	if (two)
		digest_pair_end(h->pair, hash, hash + SHA1_SIZE);
	else
		digest_end(h->digest, hash);
	return true;
}

/* Hash the pieces [first, end). */
static bool hash_turn(
	struct hasher *h, uint32_t first, uint32_t end, struct error *err)
{
	const struct hashing *job = h->job;
	uint64_t whole = job->source->total / job->piece_length;

	while (first < end) {
		bool two = end - first >= 2 && first + 2 <= whole &&
			job->piece_length % DIGEST_PAIR_BLOCK == 0;

		if (!hash_pieces(h, first, two, err))
			return false;
		first += two ? 2 : 1;
	}
	return true;
}

static bool hash_turns(struct hasher *h, struct error *err)
{
	uint32_t first, end;

	if (!h->digest || !h->pair || !h->places[0].buffer ||
		!h->places[1].buffer)
		return error_set(err, "hashing: out of memory");
	while (take_turn(h->job, &first, &end)) {
		if (!hash_turn(h, first, end, err))
			return false;
	}
	return true;
}

static struct place place_of(const struct source_files *source)
{
	return (struct place){
		.source = source,
		.buffer = aligned_alloc(READ_ALIGNMENT, READ_SIZE),
		.fd = -1,
	};
}

/* What is open still is closed, and was not to change while it was read. */
static bool leave(struct place *p, struct error *err)
{
	free(p->buffer);
	return p->fd < 0 || close_file(p, err);
}

static void *hasher_main(void *arg)
{
	struct hashing *job = arg;
	struct hasher h = {
		.job = job,
		.digest = digest_create(),
		.pair = digest_pair_create(),
		.places = {place_of(job->source), place_of(job->source)},
	};
	struct error err, also;

	bool ok = hash_turns(&h, &err);
	for (size_t i = 0; i < 2; i++) {
		if (!leave(&h.places[i], ok ? &err : &also))
			ok = false;
	}
	digest_pair_destroy(h.pair);
	digest_destroy(h.digest);

	pthread_mutex_lock(&job->lock);
	if (!ok && !job->failed) {
		job->failed = true;
		job->err = err;
	}
	job->running--;
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

/* Tell how far it is until no thread runs any more. */
static void watch(struct hashing *job, const struct make_torrent *what)
{
	struct timespec until;
	bool over = false;

	clock_gettime(CLOCK_MONOTONIC, &until);
	/* They may end while it is told how far they are: so the last word is
	 * said after that. */
	while (!over) {
		pthread_mutex_lock(&job->lock);
		until.tv_nsec += PROGRESS_INTERVAL_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		while (job->running > 0 &&
			pthread_cond_timedwait(
				&job->changed, &job->lock, &until) != ETIMEDOUT)
			;
		uint64_t done = job->done;
		over = job->running == 0;
		pthread_mutex_unlock(&job->lock);
		if (what->progress)
			what->progress(what->ctx, done, job->source->total);
	}
}

static unsigned count_threads(unsigned wanted)
{
	if (wanted == 0)
		wanted = cores_count();
	return wanted < MAX_THREADS ? wanted : MAX_THREADS;
}

static bool run_threads(struct hashing *job, const struct make_torrent *what,
	unsigned wanted, struct error *err)
{
	pthread_t threads[MAX_THREADS];
	unsigned started = 0;

	/* All are counted before the first may end. */
	job->running = wanted;
	while (started < wanted &&
		pthread_create(&threads[started], NULL, hasher_main, job) == 0)
		started++;
	pthread_mutex_lock(&job->lock);
	job->running -= wanted - started;
	pthread_mutex_unlock(&job->lock);
	if (started == 0)
		return error_set(err, "hashing: cannot start a thread");
	watch(job, what);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (job->failed)
		*err = job->err;
	return !job->failed;
}

static bool hash_all(const struct make_torrent *what,
	const struct source_files *source, uint32_t piece_length,
	uint32_t piece_count, uint8_t *hashes, struct error *err)
{
	unsigned threads = count_threads(what->threads);
	struct hashing job = {
		.source = source,
		.piece_length = piece_length,
		.piece_count = piece_count,
		.hashes = hashes,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	pthread_condattr_t monotonic;

	/* Turns so short that the last ones end at about the same time. */
	uint32_t turn = TURN_SIZE / piece_length;
	if (turn < TURN_PIECES)
		turn = TURN_PIECES;
	if (turn > piece_count / threads / 4)
		turn = piece_count / threads / 4;
	job.turn_pieces = turn > 0 ? turn : 1;
	if (threads > piece_count)
		threads = piece_count;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&job.changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	bool ok = run_threads(&job, what, threads, err);
	pthread_cond_destroy(&job.changed);
	return ok;
}

/* ---- the torrent ---- */

static void write_path(struct bencode_writer *w, const char *path)
{
	bencode_list_open(w);
	for (;;) {
		size_t len = strcspn(path, "/");
		bencode_write_string(w, path, len);
		if (path[len] == '\0')
			break;
		path += len + 1;
	}
	bencode_list_close(w);
}

static void write_info(struct bencode_writer *w,
	const struct make_torrent *what, const struct source_files *source,
	uint32_t piece_length, const uint8_t *hashes, size_t hashes_len)
{
	bencode_dict_open(w);
	if (source->folder) {
		bencode_write_key(w, "files");
		bencode_list_open(w);
		for (size_t i = 0; i < source->count; i++) {
			bencode_dict_open(w);
			bencode_write_key(w, "length");
			bencode_write_int(w, (int64_t)source->files[i].size);
			bencode_write_key(w, "path");
			write_path(w, source->files[i].path);
			bencode_dict_close(w);
		}
		bencode_list_close(w);
	} else {
		bencode_write_key(w, "length");
		bencode_write_int(w, (int64_t)source->total);
	}
	bencode_write_key(w, "name");
	bencode_write_text(w, source->name);
	bencode_write_key(w, "piece length");
	bencode_write_int(w, piece_length);
	bencode_write_key(w, "pieces");
	bencode_write_string(w, hashes, hashes_len);
	if (what->private) {
		bencode_write_key(w, "private");
		bencode_write_int(w, 1);
	}
	if (what->source) {
		bencode_write_key(w, "source");
		bencode_write_text(w, what->source);
	}
	bencode_dict_close(w);
}

static void write_trackers(
	struct bencode_writer *w, const struct make_torrent *what)
{
	if (what->tracker_count == 0)
		return;
	bencode_write_key(w, "announce");
	bencode_write_text(w, what->trackers[0]);
	if (what->tracker_count == 1)
		return;
	bencode_write_key(w, "announce-list");
	bencode_list_open(w);
	for (size_t i = 0; i < what->tracker_count; i++) {
		bencode_list_open(w);
		bencode_write_text(w, what->trackers[i]);
		bencode_list_close(w);
	}
	bencode_list_close(w);
}

static void write_torrent(struct buffer *out, const struct make_torrent *what,
	const struct source_files *source, uint32_t piece_length,
	const uint8_t *hashes, size_t hashes_len)
{
	struct bencode_writer w;

	bencode_writer_init(&w, out);
	bencode_dict_open(&w);
	write_trackers(&w, what);
	if (what->comment) {
		bencode_write_key(&w, "comment");
		bencode_write_text(&w, what->comment);
	}
	bencode_write_key(&w, "created by");
	bencode_write_text(&w, "tbt/" TBT_VERSION);
	if (what->created_s != 0) {
		bencode_write_key(&w, "creation date");
		bencode_write_int(&w, what->created_s);
	}
	bencode_write_key(&w, "info");
	write_info(&w, what, source, piece_length, hashes, hashes_len);
	if (what->web_seed_count > 0) {
		bencode_write_key(&w, "url-list");
		bencode_list_open(&w);
		for (size_t i = 0; i < what->web_seed_count; i++)
			bencode_write_text(&w, what->web_seeds[i]);
		bencode_list_close(&w);
	}
	bencode_dict_close(&w);
}

uint32_t make_torrent_piece_length(uint64_t total)
{
	enum { MOST_PIECES = 2048, LARGEST = 16 * 1024 * 1024 };
	uint32_t length = METAINFO_MIN_PIECE_LENGTH;

	while (length < LARGEST && total / MOST_PIECES > length)
		length *= 2;
	return length;
}

static bool make(const struct make_torrent *what,
	const struct source_files *source, struct buffer *ret,
	struct error *err)
{
	char shown[160];

	text_escape_str(what->path, shown, sizeof(shown));
	if (source->total == 0)
		return error_set(err, "%s: nothing to share: no bytes", shown);

	uint32_t piece_length = what->piece_length
		? what->piece_length
		: make_torrent_piece_length(source->total);
	uint64_t count = (source->total - 1) / piece_length + 1;
	/* Said now: hashing may take an hour. */
	if (count > METAINFO_MAX_PIECES || count * SHA1_SIZE > ret->max)
		return error_set(err,
			"%s: too many pieces: it takes a larger piece length",
			shown);

	uint8_t *hashes = malloc((size_t)count * SHA1_SIZE);
	if (!hashes)
		return error_set(err, "%s: out of memory", shown);
	bool ok = hash_all(
		what, source, piece_length, (uint32_t)count, hashes, err);
	if (ok) {
		write_torrent(ret, what, source, piece_length, hashes,
			(size_t)count * SHA1_SIZE);
		ok = !ret->failed ||
			error_set(err,
				"%s: no memory, or the torrent would be too "
				"large",
				shown);
	}
	free(hashes);
	return ok;
}

/* Such as `create . --force` a second time: the torrent of the first time lies
 * in the folder that it is of. */
static bool spares_source(const struct make_torrent *what,
	const struct source_files *source, struct error *err)
{
	char shown[160];
	struct stat st;

	if (!what->output || lstat(what->output, &st) != 0)
		return true;
	for (size_t i = 0; i < source->count; i++) {
		if (source->files[i].inode == st.st_ino &&
			source->files[i].device == st.st_dev)
			return error_set(err,
				"%s: is to be shared, and would be replaced by "
				"the torrent",
				text_escape_str(
					what->output, shown, sizeof(shown)));
	}
	return true;
}

bool make_torrent(
	const struct make_torrent *what, struct buffer *ret, struct error *err)
{
	struct source_files source;

	if (!source_files_list(
		    what->path, what->skipped, what->ctx, &source, err))
		return false;
	bool ok = spares_source(what, &source, err) &&
		make(what, &source, ret, err);
	source_files_finish(&source);
	return ok;
}
