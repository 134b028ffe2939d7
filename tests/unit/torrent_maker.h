#ifndef TESTS_UNIT_TORRENT_MAKER_H
#define TESTS_UNIT_TORRENT_MAKER_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "shared/bencode_writer.h"
#include "shared/buffer.h"
#include "shared/digest.h"
#include "shared/metainfo.h"

/* A real torrent of a few files, made and parsed, with its content. */
struct made_file {
	const char *path; /* elements joined by '/'; NULL ends the list */
	uint64_t length;
	bool pad;
};

struct made_torrent {
	struct metainfo m;
	uint8_t *content;
};

static inline void made_path(struct bencode_writer *w, const char *path)
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

static inline void made_files(
	struct bencode_writer *w, const struct made_file *files)
{
	bencode_write_key(w, "files");
	bencode_list_open(w);
	for (; files->path; files++) {
		bencode_dict_open(w);
		if (files->pad) {
			bencode_write_key(w, "attr");
			bencode_write_text(w, "p");
		}
		bencode_write_key(w, "length");
		bencode_write_int(w, (int64_t)files->length);
		bencode_write_key(w, "path");
		made_path(w, files->path);
		bencode_dict_close(w);
	}
	bencode_list_close(w);
}

/* Bytes that differ from place to place; zeros where pad files lie. */
static inline uint8_t *made_content(const struct made_file *files)
{
	uint64_t length = 0;
	for (const struct made_file *f = files; f->path; f++)
		length += f->length;

	uint8_t *content = calloc(1, length);
	uint32_t state = 1;
	uint64_t at = 0;
	for (const struct made_file *f = files; f->path; f++) {
		for (uint64_t i = 0; i < f->length; i++, at++) {
			state = state * 1664525 + 1013904223;
			if (!f->pad)
				content[at] = (uint8_t)(state >> 24);
		}
	}
	return content;
}

static inline void made_pieces(struct bencode_writer *w, const uint8_t *content,
	uint64_t length, uint32_t piece_length)
{
	struct buffer hashes;
	uint8_t hash[SHA1_SIZE];

	buffer_init(&hashes, SIZE_MAX);
	for (uint64_t at = 0; at < length; at += piece_length) {
		uint64_t left = length - at;
		digest_sha1(content + at,
			left < piece_length ? left : piece_length, hash);
		buffer_append(&hashes, hash, sizeof(hash));
	}
	bencode_write_key(w, "pieces");
	bencode_write_string(w, hashes.bytes, hashes.len);
	buffer_finish(&hashes);
}

/* One file whose path is "" makes a single-file torrent.  `content` (NULL:
 * made up) is the torrent's from now on. */
static inline struct made_torrent made_torrent_of(const char *name,
	const struct made_file *files, uint32_t piece_length, uint8_t *content)
{
	struct made_torrent t = {
		.content = content ? content : made_content(files)};
	struct bencode_writer w;
	struct buffer out;
	struct error err;
	uint64_t length = 0;
	bool multi = files[0].path[0] != '\0';

	for (const struct made_file *f = files; f->path; f++)
		length += f->length;

	buffer_init(&out, SIZE_MAX);
	bencode_writer_init(&w, &out);
	bencode_dict_open(&w);
	if (multi) {
		made_files(&w, files);
	} else {
		bencode_write_key(&w, "length");
		bencode_write_int(&w, (int64_t)length);
	}
	bencode_write_key(&w, "name");
	bencode_write_text(&w, name);
	bencode_write_key(&w, "piece length");
	bencode_write_int(&w, piece_length);
	made_pieces(&w, t.content, length, piece_length);
	bencode_dict_close(&w);

	cr_assert(metainfo_parse_info(
			  (struct span){out.bytes, out.len}, &t.m, &err),
		"%s", err.text);
	buffer_finish(&out);
	return t;
}

static inline void made_torrent_finish(struct made_torrent *t)
{
	metainfo_finish(&t->m);
	free(t->content);
}

#endif
