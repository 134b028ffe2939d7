#include "client/storage/resume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/buffer.h"
#include "shared/digest.h"
#include "shared/metainfo.h"
#include "shared/reader.h"
#include "shared/write_all.h"
#include "shared/writer.h"

/* On disk:
 *
 *	d4:body     a dictionary, see write_body()
 *	  8:checksum  SHA-1 of the bytes of `body`
 *	  7:version   2
 *	e
 *
 * A change of the body that old programs would misread is a new version. */
enum { VERSION = 2 };

enum {
	STAT_SIZE = 25, /* exists (1), size, mtime, ctime (8 each) */
	NAME_SIZE = 1 + 40 + sizeof(".tbt-resume.new"),
};

static void name_of(const struct info_hash *hash, char ret[NAME_SIZE])
{
	char hex[INFO_HASH_HEX_SIZE];

	info_hash_hex(hash, hex);
	snprintf(ret, NAME_SIZE, ".%s.tbt-resume", hex);
}

/* Beside it, so that a rename puts it in its place. */
static void temporary_name_of(const struct info_hash *hash, char ret[NAME_SIZE])
{
	char hex[INFO_HASH_HEX_SIZE];

	info_hash_hex(hash, hex);
	snprintf(ret, NAME_SIZE, ".%s.tbt-resume.new", hex);
}

static size_t have_size(uint32_t piece_count)
{
	return ((size_t)piece_count + 7) / 8;
}

/* ---- Writing ---- */

static int64_t as_int(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static bool write_files(struct bencode_writer *w, const struct resume *state)
{
	if (state->file_count > RESUME_MAX_SIZE / STAT_SIZE)
		return false;

	size_t len = state->file_count * STAT_SIZE;
	uint8_t *bytes = malloc(len > 0 ? len : 1);
	if (!bytes)
		return false;

	struct writer stats = writer_of(bytes, len);
	for (size_t i = 0; i < state->file_count; i++) {
		const struct storage_stat *f = &state->files[i];
		writer_u8(&stats, f->exists);
		writer_u64(&stats, f->size);
		writer_u64(&stats, (uint64_t)f->mtime_ns);
		writer_u64(&stats, (uint64_t)f->ctime_ns);
	}
	bencode_write_string(w, bytes, len);
	free(bytes);
	return !stats.bad;
}

static bool write_body(struct bencode_writer *w, const struct resume *state)
{
	bencode_dict_open(w);
	bencode_write_key(w, "downloaded");
	bencode_write_int(w, as_int(state->downloaded));
	bencode_write_key(w, "files");
	if (!write_files(w, state))
		return false;
	bencode_write_key(w, "have");
	bencode_write_string(w, state->have, have_size(state->piece_count));
	if (state->info.len > 0) {
		bencode_write_key(w, "info");
		bencode_write_string(w, state->info.at, state->info.len);
	}
	bencode_write_key(w, "info hash");
	bencode_write_string(w, state->info_hash.bytes, INFO_HASH_SIZE);
	bencode_write_key(w, "pieces");
	bencode_write_int(w, state->piece_count);
	bencode_write_key(w, "uploaded");
	bencode_write_int(w, as_int(state->uploaded));
	bencode_dict_close(w);
	return true;
}

/* False: too large, or out of memory. */
static bool write_document(struct buffer *out, const struct resume *state)
{
	struct bencode_writer w;
	uint8_t checksum[SHA1_SIZE];

	bencode_writer_init(&w, out);
	bencode_dict_open(&w);
	bencode_write_key(&w, "body");
	size_t begin = out->len;
	if (!write_body(&w, state) || out->failed)
		return false;
	digest_sha1(out->bytes + begin, out->len - begin, checksum);
	bencode_write_key(&w, "checksum");
	bencode_write_string(&w, checksum, sizeof(checksum));
	bencode_write_key(&w, "version");
	bencode_write_int(&w, VERSION);
	bencode_dict_close(&w);
	return !out->failed;
}

/* Whole or not at all, also across a power cut. */
static bool replace(int dir, const struct info_hash *hash,
	const struct buffer *bytes, struct error *err)
{
	char name[NAME_SIZE];
	char temporary[NAME_SIZE];
	bool ok = false;

	name_of(hash, name);
	temporary_name_of(hash, temporary);

	/* Left over from a kill, or planted: never written through. */
	(void)unlinkat(dir, temporary, 0);
	int fd = openat(dir, temporary,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_set_errno(err, "%s: cannot create", temporary);

	/* The bytes must be on disk before the name is, or a power cut could
	 * leave an empty file under the good name. */
	if (!write_all(fd, bytes->bytes, bytes->len) || fsync(fd) != 0) {
		error_set_errno(err, "%s: cannot write", temporary);
		goto out;
	}
	if (renameat(dir, temporary, dir, name) != 0) {
		error_set_errno(err, "%s: cannot replace", name);
		goto out;
	}
	/* EINVAL: a file system that cannot, and need not, sync a folder. */
	ok = fsync(dir) == 0 || errno == EINVAL ||
		error_set_errno(err, "%s: cannot sync its folder", name);

out:
	close(fd);
	if (!ok)
		(void)unlinkat(dir, temporary, 0);
	return ok;
}

bool resume_save(int dir, const struct resume *state, struct error *err)
{
	struct buffer out;
	char name[NAME_SIZE];

	buffer_init(&out, RESUME_MAX_SIZE);
	bool ok = write_document(&out, state);
	if (ok) {
		ok = replace(dir, &state->info_hash, &out, err);
	} else {
		name_of(&state->info_hash, name);
		error_set(err, "%s: too large, or out of memory", name);
	}
	buffer_finish(&out);
	return ok;
}

/* ---- Reading ---- */

static bool find_count(
	struct span dict, const char *key, int64_t max, uint64_t *ret)
{
	int64_t value;

	if (!bencode_find_int(dict, key, &value) || value < 0 || value > max)
		return false;
	*ret = (uint64_t)value;
	return true;
}

/* The document's body once its version and checksum are right. */
static bool open_document(
	struct span bytes, struct span *ret, struct error *err)
{
	struct span document, body, checksum;
	uint8_t expected[SHA1_SIZE];
	int64_t version;

	if (bytes.len > RESUME_MAX_SIZE)
		return error_set(err, "too large");
	if (!bencode_document(bytes, &document))
		return error_set(err, "damaged: no bencoded dictionary");
	if (!bencode_find_int(document, "version", &version))
		return error_set(err, "damaged: no version");
	if (version != VERSION)
		return error_set(err,
			"of version %lld, this program knows version %d",
			(long long)version, VERSION);
	if (!bencode_find(document, "body", &body) ||
		!bencode_find_string(document, "checksum", &checksum) ||
		checksum.len != SHA1_SIZE)
		return error_set(err, "damaged: body or checksum missing");
	digest_sha1(body.at, body.len, expected);
	if (memcmp(checksum.at, expected, SHA1_SIZE) != 0)
		return error_set(err, "damaged: wrong checksum");
	*ret = body;
	return true;
}

/* Exactly the bits of that many pieces. */
static bool have_valid(struct span have, uint32_t piece_count)
{
	if (have.len != have_size(piece_count))
		return false;
	unsigned spare = (8 - piece_count % 8) % 8;
	return spare == 0 || (have.at[have.len - 1] & ((1U << spare) - 1)) == 0;
}

static bool read_files(struct span bytes, struct storage_stat *ret)
{
	struct reader r = reader_of_span(bytes);

	for (size_t i = 0; i < bytes.len / STAT_SIZE; i++) {
		uint8_t exists = reader_u8(&r);
		ret[i].exists = exists != 0;
		ret[i].size = reader_u64(&r);
		ret[i].mtime_ns = (int64_t)reader_u64(&r);
		ret[i].ctime_ns = (int64_t)reader_u64(&r);
		ret[i].inode = 0; /* a copy is as good */
		if (exists > 1)
			return false;
	}
	return reader_done(&r);
}

/* What write_body() wrote; the spans lie in the document. */
struct body {
	struct span info_hash, have, info, files;
	uint64_t pieces, downloaded, uploaded;
};

static bool read_body(struct span dict, struct body *ret)
{
	struct body b = {.info = {dict.at, 0}};

	if (!bencode_find_string(dict, "info hash", &b.info_hash) ||
		!bencode_find_string(dict, "have", &b.have) ||
		!bencode_find_string(dict, "files", &b.files) ||
		!find_count(dict, "pieces", METAINFO_MAX_PIECES, &b.pieces) ||
		!find_count(dict, "downloaded", INT64_MAX, &b.downloaded) ||
		!find_count(dict, "uploaded", INT64_MAX, &b.uploaded))
		return false;
	(void)bencode_find_string(dict, "info", &b.info); /* optional */
	if (b.info_hash.len != INFO_HASH_SIZE || b.files.len % STAT_SIZE != 0 ||
		!have_valid(b.have, (uint32_t)b.pieces))
		return false;
	*ret = b;
	return true;
}

bool resume_parse(struct span bytes, struct resume *ret, void **ret_memory,
	struct error *err)
{
	struct span dict;
	struct body b;

	if (!open_document(bytes, &dict, err))
		return false;
	if (!read_body(dict, &b))
		return error_set(err, "damaged: wrong contents");

	/* One block of memory: stats, then have, then info. */
	size_t file_count = b.files.len / STAT_SIZE;
	size_t stats_len = file_count * sizeof(struct storage_stat);
	uint8_t *memory = malloc(stats_len + b.have.len + b.info.len + 1);
	if (!memory)
		return error_set(err, "out of memory");

	struct storage_stat *files = (struct storage_stat *)(void *)memory;
	if (!read_files(b.files, files)) {
		free(memory);
		return error_set(err, "damaged: wrong contents");
	}

	uint8_t *have = memory + stats_len;
	uint8_t *info = have + b.have.len;
	memcpy(have, b.have.at, b.have.len);
	memcpy(info, b.info.at, b.info.len);

	*ret = (struct resume){
		.piece_count = (uint32_t)b.pieces,
		.have = have,
		.file_count = file_count,
		.files = files,
		.downloaded = b.downloaded,
		.uploaded = b.uploaded,
		.info = {info, b.info.len},
	};
	memcpy(ret->info_hash.bytes, b.info_hash.at, INFO_HASH_SIZE);
	*ret_memory = memory;
	return true;
}

/* A regular file of at most RESUME_MAX_SIZE, whole.  False: `err` says why,
 * without the name. */
static bool read_whole(int fd, struct buffer *out, struct error *err)
{
	uint8_t chunk[64 * 1024];
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(err, "cannot read");
	if (!S_ISREG(st.st_mode))
		return error_set(err, "is not a regular file");
	if (st.st_size > RESUME_MAX_SIZE)
		return error_set(err, "too large");

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, "cannot read");
		if (n == 0)
			return true;
		if (!buffer_append(out, chunk, (size_t)n))
			return error_set(err, "too large, or out of memory");
	}
}

static bool load(int fd, const struct info_hash *hash, struct resume *ret,
	void **ret_memory, struct error *err)
{
	struct buffer bytes;
	struct resume state;
	void *memory;

	buffer_init(&bytes, RESUME_MAX_SIZE);
	bool ok = read_whole(fd, &bytes, err) &&
		resume_parse((struct span){bytes.bytes, bytes.len}, &state,
			&memory, err);
	buffer_finish(&bytes);
	if (!ok)
		return false;
	if (!info_hash_equal(&state.info_hash, hash)) {
		free(memory);
		return error_set(err, "belongs to another torrent");
	}
	*ret = state;
	*ret_memory = memory;
	return true;
}

enum resume_result resume_load(int dir, const struct info_hash *hash,
	struct resume *ret, void **ret_memory, struct error *err)
{
	char name[NAME_SIZE];
	struct error why;

	name_of(hash, name);
	int fd = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return RESUME_NONE;
	if (fd < 0) {
		error_set_errno(err, "%s: cannot open", name);
		return RESUME_UNUSABLE;
	}

	bool ok = load(fd, hash, ret, ret_memory, &why);
	close(fd);
	if (ok)
		return RESUME_LOADED;
	error_set(err, "%s: %s", name, why.text);
	return RESUME_UNUSABLE;
}

void resume_remove(int dir, const struct info_hash *hash)
{
	char name[NAME_SIZE];

	name_of(hash, name);
	(void)unlinkat(dir, name, 0); /* absence is no error */
	temporary_name_of(hash, name);
	(void)unlinkat(dir, name, 0);
}
