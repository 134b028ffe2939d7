#include "shared/metainfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/bencode.h"
#include "shared/digest.h"
#include "shared/metainfo_sources.h"
#include "shared/safe_name.h"
#include "shared/text.h"

enum {
	TEXT_MAX = 64 * 1024, /* of a comment and the like; the rest is cut */
};

static bool out_of_memory(struct error *err)
{
	errno = ENOMEM;
	return error_set(err, "out of memory");
}

/* A text for people, "" when there is none or it is none. */
static bool keep_text(struct metainfo *m, struct span value, const char **ret,
	struct error *err)
{
	struct span text = {0};

	if (!bencode_as_string(value, &text) || text.len == 0) {
		*ret = "";
		return true;
	}
	if (text.len > TEXT_MAX)
		text.len = TEXT_MAX;

	/* U+FFFD in the place of one bad byte takes three. */
	size_t size = 3 * text.len + 1;
	char *kept = arena_take(&m->memory, size);
	if (!kept)
		return out_of_memory(err);
	text_utf8_repair(text, kept, size);
	*ret = kept;
	return true;
}

/* ---- names and files ---- */

enum { FILE_LENGTH, FILE_PATH, FILE_PATH_UTF8, FILE_ATTR, FILE_FIELDS };

static const char *const file_keys[FILE_FIELDS] = {
	[FILE_LENGTH] = "length",
	[FILE_PATH] = "path",
	[FILE_PATH_UTF8] = "path.utf-8",
	[FILE_ATTR] = "attr",
};

/* BEP 47: one letter an attribute; others than these have no use for us. */
static void read_attributes(struct span value, struct metainfo_file *f)
{
	struct span attr;

	if (!bencode_as_string(value, &attr))
		return;
	f->pad = memchr(attr.at, 'p', attr.len);
	f->symlink = memchr(attr.at, 'l', attr.len);
	f->executable = memchr(attr.at, 'x', attr.len);
}

/* Whether `safe` is not what the torrent has. */
static bool was_mended(struct span name, const char *safe)
{
	return strlen(safe) != name.len || memcmp(safe, name.at, name.len) != 0;
}

static bool keep_name(struct metainfo *m, struct span name, struct error *err)
{
	char safe[SAFE_NAME_MAX + 1];

	if (!safe_name_mend(name, safe, err))
		return false;
	m->name = arena_keep(&m->memory, safe, strlen(safe));
	m->name_mended = was_mended(name, safe);
	return m->name || out_of_memory(err);
}

/* Join the elements of a path, each made safe. */
static bool keep_path(struct metainfo *m, struct span value,
	struct metainfo_file *f, struct error *err)
{
	char path[SAFE_PATH_MAX + 1];
	char name[SAFE_NAME_MAX + 1];
	struct reader r;
	struct span element_value, element;
	size_t len = 0;
	size_t depth = 0;

	if (!bencode_as_list(value, &r))
		return error_set(err, "a file in it has no path");
	/* The root folder's name counts, since it comes before the path. */
	size_t max = SAFE_PATH_MAX - strlen(m->name) - 1;
	for (; bencode_list_next(&r, &element_value); depth++) {
		if (!bencode_as_string(element_value, &element))
			return error_set(err, "a path in it is no text");
		if (depth == METAINFO_MAX_DEPTH)
			return error_set(err, "a path in it is deeper than %d",
				METAINFO_MAX_DEPTH);
		if (!safe_name_mend(element, name, err))
			return false;
		f->mended |= was_mended(element, name);

		size_t name_len = strlen(name);
		if (name_len + 1 > max - len)
			return error_set(err,
				"a path in it is longer than %d bytes",
				SAFE_PATH_MAX);
		if (depth > 0)
			path[len++] = '/';
		memcpy(path + len, name, name_len);
		len += name_len;
	}
	if (depth == 0)
		return error_set(err, "a path in it is empty");
	f->path = arena_keep(&m->memory, path, len);
	return f->path || out_of_memory(err);
}

/* A list of strings: `path.utf-8` of any other shape is passed over. */
static bool is_path(struct span value)
{
	struct reader r;
	struct span element, text;
	bool ok = bencode_as_list(value, &r);

	while (ok && bencode_list_next(&r, &element))
		ok = bencode_as_string(element, &text);
	return ok;
}

static bool read_length(struct span value, uint64_t *ret, struct error *err)
{
	int64_t length;

	if (!bencode_as_int(value, &length))
		return error_set(err, "a file in it has no length");
	if (length < 0)
		return error_set(err, "a file in it has a negative length");
	*ret = (uint64_t)length;
	return true;
}

/* Place a file behind those before it. */
static bool add_length(
	struct metainfo *m, struct metainfo_file *f, struct error *err)
{
	if (f->length > INT64_MAX - m->length)
		return error_set(err,
			"the lengths of its files add up to "
			"more than any disk holds");
	f->offset = m->length;
	m->length += f->length;
	return true;
}

static bool read_file_entry(struct metainfo *m, struct span entry,
	struct metainfo_file *ret, struct error *err)
{
	struct span fields[FILE_FIELDS];
	struct metainfo_file f = {0};

	if (!bencode_fields(entry, file_keys, FILE_FIELDS, fields))
		return error_set(err, "an entry of its list of files is none");
	read_attributes(fields[FILE_ATTR], &f);
	/* BEP 47 gives a symlink no content and leaves its length open. */
	if (!f.symlink && !read_length(fields[FILE_LENGTH], &f.length, err))
		return false;
	if (!add_length(m, &f, err))
		return false;
	struct span path = is_path(fields[FILE_PATH_UTF8])
		? fields[FILE_PATH_UTF8]
		: fields[FILE_PATH];
	if (!keep_path(m, path, &f, err))
		return false;
	*ret = f;
	return true;
}

static bool check_paths(const struct metainfo *m, struct error *err)
{
	const char **paths = calloc(m->file_count, sizeof(*paths));
	size_t count = 0;

	if (!paths)
		return out_of_memory(err);
	/* Pad files often share a name and are never on disk. */
	for (size_t i = 0; i < m->file_count; i++) {
		if (!m->files[i].pad)
			paths[count++] = m->files[i].path;
	}
	bool ok = safe_name_paths_distinct(paths, count, err);
	free(paths);
	return ok;
}

static size_t list_count(struct span list)
{
	struct reader r;
	struct span value;
	size_t count = 0;

	if (bencode_as_list(list, &r)) {
		while (bencode_list_next(&r, &value))
			count++;
	}
	return count;
}

static bool read_file_list(
	struct metainfo *m, struct span files, struct error *err)
{
	struct reader r;
	struct span entry;

	if (!bencode_as_list(files, &r))
		return error_set(err, "its list of files is none");
	size_t count = list_count(files);
	if (count == 0)
		return error_set(err, "its list of files is empty");
	m->files = calloc(count, sizeof(*m->files));
	if (!m->files)
		return out_of_memory(err);
	for (; bencode_list_next(&r, &entry); m->file_count++) {
		if (!read_file_entry(m, entry, &m->files[m->file_count], err))
			return false;
	}
	m->multi_file = true;
	return check_paths(m, err);
}

static bool read_single_file(struct metainfo *m, struct span length,
	struct span attr, struct error *err)
{
	m->files = calloc(1, sizeof(*m->files));
	if (!m->files)
		return out_of_memory(err);

	struct metainfo_file *f = m->files;
	m->file_count = 1;
	f->path = m->name;
	f->mended = m->name_mended;
	read_attributes(attr, f);
	if (f->pad || f->symlink)
		return error_set(err, "its only file is none to download");
	return read_length(length, &f->length, err) && add_length(m, f, err);
}

/* ---- the info dictionary ---- */

enum {
	INFO_ATTR,
	INFO_FILES,
	INFO_LENGTH,
	INFO_META_VERSION,
	INFO_NAME,
	INFO_NAME_UTF8,
	INFO_PIECE_LENGTH,
	INFO_PIECES,
	INFO_PRIVATE,
	INFO_SOURCE,
	INFO_FIELDS
};

static const char *const info_keys[INFO_FIELDS] = {
	[INFO_ATTR] = "attr",
	[INFO_FILES] = "files",
	[INFO_LENGTH] = "length",
	[INFO_META_VERSION] = "meta version",
	[INFO_NAME] = "name",
	[INFO_NAME_UTF8] = "name.utf-8",
	[INFO_PIECE_LENGTH] = "piece length",
	[INFO_PIECES] = "pieces",
	[INFO_PRIVATE] = "private",
	[INFO_SOURCE] = "source",
};

/* BEP 52: version 2 with `pieces` is a hybrid, which is a complete v1 torrent
 * too, and used as one. */
static bool read_version(
	struct metainfo *m, const struct span *info, struct error *err)
{
	int64_t version;

	if (!info[INFO_META_VERSION].at)
		return true;
	if (!bencode_as_int(info[INFO_META_VERSION], &version) || version != 2)
		return error_set(err, "its `meta version` is unknown");
	if (!info[INFO_PIECES].at)
		return error_set(
			err, "v2-only torrents (BEP 52) are not supported yet");
	m->hybrid = true;
	return true;
}

static bool read_name(
	struct metainfo *m, const struct span *info, struct error *err)
{
	struct span name;

	if (!bencode_as_string(info[INFO_NAME_UTF8], &name) &&
		!bencode_as_string(info[INFO_NAME], &name))
		return error_set(err, "it has no name");
	return keep_name(m, name, err);
}

static bool read_files(
	struct metainfo *m, const struct span *info, struct error *err)
{
	bool single = info[INFO_LENGTH].at;
	bool multi = info[INFO_FILES].at;

	if (single && multi)
		return error_set(err, "it has both `length` and `files`");
	if (!single && !multi)
		return error_set(err, "it has neither `length` nor `files`");
	if (single ? !read_single_file(
			     m, info[INFO_LENGTH], info[INFO_ATTR], err)
		   : !read_file_list(m, info[INFO_FILES], err))
		return false;
	return m->length > 0 || error_set(err, "it has no content: 0 bytes");
}

static bool read_pieces(
	struct metainfo *m, const struct span *info, struct error *err)
{
	int64_t length;
	struct span pieces;

	if (!bencode_as_int(info[INFO_PIECE_LENGTH], &length))
		return error_set(err, "it has no piece length");
	/* The multiples of 16 KiB hold the powers of two from there on. */
	if (length < METAINFO_MIN_PIECE_LENGTH ||
		length > METAINFO_MAX_PIECE_LENGTH ||
		length % METAINFO_MIN_PIECE_LENGTH != 0)
		return error_set(err,
			"its piece length is no multiple of 16 KiB up to "
			"512 MiB");
	m->piece_length = (uint32_t)length;

	uint64_t count = (m->length - 1) / m->piece_length + 1;
	if (count > METAINFO_MAX_PIECES)
		return error_set(
			err, "it has more than %d pieces", METAINFO_MAX_PIECES);
	m->piece_count = (uint32_t)count;
	if (!bencode_as_string(info[INFO_PIECES], &pieces))
		return error_set(err, "it has no piece hashes");
	if (pieces.len != count * SHA1_SIZE)
		return error_set(
			err, "its piece hashes are not as many as its pieces");
	m->piece_hashes = pieces.at;
	return true;
}

/* A flag of an odd kind is taken as meant: telling the world of a private
 * torrent cannot be undone. */
static bool is_private(struct span value)
{
	int64_t flag;

	return value.at && (!bencode_as_int(value, &flag) || flag != 0);
}

static bool read_info(struct metainfo *m, struct span info, struct error *err)
{
	struct span fields[INFO_FIELDS];

	m->info = info;
	if (!bencode_fields(m->info, info_keys, INFO_FIELDS, fields))
		return error_set(err, "its `info` is no dictionary");

	digest_sha1(m->info.at, m->info.len, m->info_hash.bytes);
	m->private = is_private(fields[INFO_PRIVATE]);
	return read_version(m, fields, err) && read_name(m, fields, err) &&
		read_files(m, fields, err) && read_pieces(m, fields, err) &&
		keep_text(m, fields[INFO_SOURCE], &m->source, err);
}

/* ---- the whole ---- */

enum {
	ROOT_ANNOUNCE,
	ROOT_ANNOUNCE_LIST,
	ROOT_COMMENT,
	ROOT_CREATED_BY,
	ROOT_CREATION_DATE,
	ROOT_INFO,
	ROOT_NODES,
	ROOT_URL_LIST,
	ROOT_FIELDS
};

static const char *const root_keys[ROOT_FIELDS] = {
	[ROOT_ANNOUNCE] = "announce",
	[ROOT_ANNOUNCE_LIST] = "announce-list",
	[ROOT_COMMENT] = "comment",
	[ROOT_CREATED_BY] = "created by",
	[ROOT_CREATION_DATE] = "creation date",
	[ROOT_INFO] = "info",
	[ROOT_NODES] = "nodes",
	[ROOT_URL_LIST] = "url-list",
};

/* From the fields of the root; those of them that may be wanting may also be
 * of a wrong kind, and are then as wanting. */
static bool read_root(
	struct metainfo *m, const struct span *root, struct error *err)
{
	struct metainfo_sources sources = {
		.announce = root[ROOT_ANNOUNCE],
		.announce_list = root[ROOT_ANNOUNCE_LIST],
		.url_list = root[ROOT_URL_LIST],
		.nodes = root[ROOT_NODES],
	};
	int64_t created;

	if (bencode_as_int(root[ROOT_CREATION_DATE], &created) && created > 0)
		m->created_s = created;
	return read_info(m, root[ROOT_INFO], err) &&
		keep_text(m, root[ROOT_COMMENT], &m->comment, err) &&
		keep_text(m, root[ROOT_CREATED_BY], &m->created_by, err) &&
		(metainfo_sources_read(&sources, m) || out_of_memory(err));
}

/* A terabyte in pieces of 1 MiB has 20 MB of hashes, and that is no attack; 20
 * MB of anything else is.  May a torrent of `size` bytes that begins with
 * `head` be a large one for its hashes' sake?  A guess, to be cheap: the parser
 * judges. */
static bool size_plausible(struct span head, uint64_t size)
{
	static const char key[] = "6:pieces";
	const uint8_t *at;
	uint64_t hashes = 0;

	if (size <= METAINFO_MAX_SIZE)
		return true;
	if (size > METAINFO_MAX_SIZE + (uint64_t)METAINFO_MAX_HASHES)
		return false;
	at = memmem(head.at, head.len, key, sizeof(key) - 1);
	if (!at)
		return false;
	struct reader r = reader_of(at, (size_t)(head.at + head.len - at));
	reader_take(&r, sizeof(key) - 1);
	for (uint8_t c = reader_u8(&r);
		c >= '0' && c <= '9' && hashes <= METAINFO_MAX_HASHES;
		c = reader_u8(&r))
		hashes = hashes * 10 + (c - '0');
	return hashes <= METAINFO_MAX_HASHES &&
		size - METAINFO_MAX_SIZE <= hashes;
}

static bool too_large(struct error *err)
{
	return error_set(err, "larger than %d MiB, piece hashes apart",
		METAINFO_MAX_SIZE / 1024 / 1024);
}

/* What people take for a torrent most often. */
static const char *what_else(struct span bytes)
{
	if (bytes.len == 0)
		return "it is empty";
	if (bytes.at[0] == '<')
		return "it looks like a web page";
	if (bytes.at[0] != 'd')
		return "it does not begin like one";
	return "broken bencoding";
}

/* What is parsed stays where it is, and so has to live as long as `m`: a large
 * torrent is not to be in memory twice. */
static bool parse(struct metainfo *m, struct span bytes, struct error *err)
{
	struct span dict;
	struct span root[ROOT_FIELDS];

	if (!bencode_document(bytes, &dict) ||
		!bencode_fields(dict, root_keys, ROOT_FIELDS, root))
		return error_set(err, "not a torrent: %s", what_else(bytes));
	if (!root[ROOT_INFO].at)
		return error_set(err, "not a torrent: it has no `info`");
	return read_root(m, root, err);
}

static bool parse_info(struct metainfo *m, struct span info, struct error *err)
{
	struct span root[ROOT_FIELDS] = {[ROOT_INFO] = info};
	struct span dict;

	/* Its hash covers all of it, so that not even a newline may follow. */
	if (!bencode_document(info, &dict) || dict.len != info.len)
		return error_set(err, "broken bencoding");
	return read_root(m, root, err);
}

static bool hand_over(struct metainfo *m, bool ok, struct metainfo *ret)
{
	if (ok)
		*ret = *m;
	else
		metainfo_finish(m);
	return ok;
}

static bool keep_span(struct metainfo *m, struct span *bytes, struct error *err)
{
	uint8_t *kept = arena_take(&m->memory, bytes->len);

	if (!kept)
		return out_of_memory(err);
	if (bytes->len > 0)
		memcpy(kept, bytes->at, bytes->len);
	bytes->at = kept;
	return true;
}

bool metainfo_parse(struct span bytes, struct metainfo *ret, struct error *err)
{
	struct metainfo m = {0};

	if (!size_plausible(bytes, bytes.len))
		return too_large(err);
	bool ok = keep_span(&m, &bytes, err) && parse(&m, bytes, err);
	return hand_over(&m, ok, ret);
}

bool metainfo_parse_info(
	struct span info, struct metainfo *ret, struct error *err)
{
	struct metainfo m = {0};
	bool ok = keep_span(&m, &info, err) && parse_info(&m, info, err);

	return hand_over(&m, ok, ret);
}

/* Bytes of the file up to `want`, or its end; false: errno. */
static bool read_upto(int fd, uint8_t *bytes, size_t *len, size_t want)
{
	while (*len < want) {
		ssize_t n = read(fd, bytes + *len, want - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return true;
}

/* The whole of a regular file that is not too large. */
static bool read_whole(
	struct metainfo *m, int fd, struct span *ret, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(err, "cannot read");
	if (!S_ISREG(st.st_mode))
		return error_set(err, "not a file");
	if (st.st_size > METAINFO_MAX_SIZE + (off_t)METAINFO_MAX_HASHES)
		return too_large(err);

	/* A file that grows meanwhile is cut here, and broken then. */
	size_t size = (size_t)st.st_size + 1;
	size_t head = size < METAINFO_MAX_SIZE ? size : METAINFO_MAX_SIZE;
	uint8_t *bytes = arena_take(&m->memory, size);
	size_t len = 0;

	if (!bytes)
		return out_of_memory(err);
	if (!read_upto(fd, bytes, &len, head))
		return error_set_errno(err, "cannot read");
	if (!size_plausible((struct span){bytes, len}, size - 1))
		return too_large(err);
	if (!read_upto(fd, bytes, &len, size))
		return error_set_errno(err, "cannot read");
	*ret = (struct span){bytes, len};
	return true;
}

bool metainfo_load(const char *path, struct metainfo *ret, struct error *err)
{
	char shown[160];
	struct metainfo m = {0};
	struct span bytes;
	struct error why;

	text_escape_str(path, shown, sizeof(shown));
	/* Not to wait for a FIFO's other end; what it is, is checked next. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set_errno(err, "%s: cannot open", shown);
	errno = 0;
	bool ok = read_whole(&m, fd, &bytes, &why) && parse(&m, bytes, &why);
	int reason = errno;
	close(fd);
	if (!ok)
		error_set(err, "%s: %s", shown, why.text);
	hand_over(&m, ok, ret);
	errno = reason;
	return ok;
}

void metainfo_finish(struct metainfo *m)
{
	arena_finish(&m->memory);
	free(m->files);
	free(m->trackers);
	free(m->web_seeds);
	free(m->nodes);
	*m = (struct metainfo){0};
}

bool metainfo_on_disk(const struct metainfo_file *f)
{
	return !f->pad && !f->symlink;
}

uint32_t metainfo_piece_size(const struct metainfo *m, uint32_t index)
{
	if (index >= m->piece_count)
		return 0;

	uint64_t left = m->length - (uint64_t)index * m->piece_length;
	return left < m->piece_length ? (uint32_t)left : m->piece_length;
}
