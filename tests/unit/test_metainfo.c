/* What is read of a torrent file, and what is refused: its info dictionary,
 * files and paths, sizes, and loading it. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/digest.h"
#include "tests/unit/metainfo_lab.h"

#define INFO(text) "d4:infod" text "ee"
#define SINGLE(text) INFO(LENGTH NAME TAIL text)
#define MULTI(files) INFO("5:filesl" files "e" NAME TAIL)
#define FILE_AT(path) "d6:lengthi5e4:pathl" path "ee"

Test(metainfo, single_file_is_read)
{
	struct metainfo m =
		parsed("d7:comment2:hi10:created by3:tbt"
		       "13:creation datei1700000000e4:infod" LENGTH NAME TAIL
		       "6:source3:SRCee");

	cr_expect_str_eq(m.name, "name");
	cr_expect_not(m.multi_file);
	cr_expect_not(m.private);
	cr_expect_not(m.hybrid);
	cr_expect_eq(m.length, 5);
	cr_expect_eq(m.piece_length, 16384);
	cr_expect_eq(m.piece_count, 1);
	cr_assert_eq(m.file_count, 1);
	cr_expect_str_eq(m.files[0].path, "name");
	cr_expect_eq(m.files[0].length, 5);
	cr_expect_str_eq(m.comment, "hi");
	cr_expect_str_eq(m.created_by, "tbt");
	cr_expect_str_eq(m.source, "SRC");
	cr_expect_eq(m.created_s, 1700000000);
	cr_expect_eq(m.tracker_count, 0);
	cr_expect_eq(m.web_seed_count, 0);
	metainfo_finish(&m);
	metainfo_finish(&m);
}

Test(metainfo, info_hash_covers_the_info_dictionary_as_it_came)
{
	static const char info[] = "d" LENGTH NAME TAIL "e";
	struct metainfo m = parsed(SINGLE(""));
	struct metainfo alone;
	struct error err;
	uint8_t hash[SHA1_SIZE];

	digest_sha1(info, sizeof(info) - 1, hash);
	cr_expect_arr_eq(m.info_hash.bytes, hash, SHA1_SIZE);
	cr_assert_eq(m.info.len, sizeof(info) - 1);
	cr_expect_arr_eq(m.info.at, info, m.info.len);

	cr_assert(metainfo_parse_info(m.info, &alone, &err));
	cr_expect(info_hash_equal(&m.info_hash, &alone.info_hash));
	cr_expect_str_eq(alone.comment, "");
	metainfo_finish(&alone);
	metainfo_finish(&m);

	cr_expect_not(metainfo_parse_info(
		(struct span){(const uint8_t *)"d" LENGTH NAME TAIL "e\n",
			sizeof(info)},
		&alone, &err));
}

Test(metainfo, what_breaks_a_rule_is_refused)
{
	static const struct {
		const char *in;
		const char *why; /* a part of the words */
	} cases[] = {
		{"", "it is empty"},
		{"<html>", "it looks like a web page"},
		{"PK\x03\x04", "it does not begin like one"},
		{SINGLE("") "x", "bencoding"},
		{SINGLE(LENGTH), "bencoding"}, /* a key twice */
		{"de", "no `info`"},
		{"d4:infoi1ee", "no dictionary"},
		{"d4:infolee", "no dictionary"},
		{INFO(LENGTH TAIL), "no name"},
		{INFO(LENGTH "4:namei1e" TAIL), "no name"},
		{INFO(LENGTH "4:name0:" TAIL), "empty"},
		{INFO(LENGTH "4:name2:.." TAIL), "elsewhere"},
		{INFO(LENGTH "4:name1:." TAIL), "elsewhere"},
		{INFO(LENGTH "4:name5:a/../" TAIL), "elsewhere"},
		{INFO(LENGTH NAME "10:name.utf-82:.." TAIL), "elsewhere"},
		{INFO(NAME TAIL), "neither"},
		{INFO(LENGTH NAME TAIL "5:filesl" FILE_AT("1:a") "e"), "both"},
		{INFO("6:lengthi-1e" NAME TAIL), "negative"},
		{INFO("6:lengthi0e" NAME TAIL), "0 bytes"},
		{INFO("6:length1:1" NAME TAIL), "no length"},
		{INFO(LENGTH NAME PIECES), "no piece length"},
		{INFO(LENGTH NAME PIECE_LENGTH), "no piece hashes"},
		{INFO(LENGTH NAME PIECE_LENGTH "6:pieces0:"), "not as many"},
		{INFO(LENGTH NAME PIECE_LENGTH
			 "6:pieces19:aaaaaaaaaaaaaaaaaaa"),
			"not as many"},
		{INFO(LENGTH NAME PIECE_LENGTH "6:pieces40:" HASH HASH),
			"not as many"},
		{INFO("6:lengthi16385e" NAME TAIL), "not as many"},
		{INFO(LENGTH NAME PIECES "12:piece lengthi0e"), "piece length"},
		{INFO(LENGTH NAME PIECES "12:piece lengthi-16384e"),
			"piece length"},
		{INFO(LENGTH NAME PIECES "12:piece lengthi8192e"),
			"piece length"},
		{INFO(LENGTH NAME PIECES "12:piece lengthi16385e"),
			"piece length"},
		{INFO(LENGTH NAME PIECES "12:piece lengthi536887296e"),
			"piece length"},
		{INFO(LENGTH NAME PIECES "12:piece lengthi4294983680e"),
			"piece length"},
		{INFO("6:lengthi9223372036854775807e" NAME TAIL),
			"more than 2097152 pieces"},
		{SINGLE("12:meta versioni3e"), "unknown"},
		{SINGLE("12:meta version1:2"), "unknown"},
		{INFO(NAME PIECE_LENGTH "12:meta versioni2e9:file treede"),
			"not supported yet"},
		{MULTI(""), "empty"},
		{MULTI("i1e"), "none"},
		{MULTI("d6:lengthi5ee"), "no path"},
		{MULTI("d6:lengthi5e4:path1:ae"), "no path"},
		{MULTI("d6:lengthi5e4:pathli1eee"), "no text"},
		{MULTI("d4:pathl1:aee"), "no length"},
		{MULTI("d6:lengthi-5e4:pathl1:aee"), "negative"},
		{MULTI(FILE_AT("")), "path in it is empty"},
		{MULTI(FILE_AT("0:")), "empty"},
		{MULTI(FILE_AT("2:..1:a")), "elsewhere"},
		{MULTI(FILE_AT("1:a2:..")), "elsewhere"},
		{MULTI(FILE_AT("11:/etc/passwd")), "elsewhere"},
		{MULTI(FILE_AT("1:a") FILE_AT("1:a")), "two of its files"},
		{MULTI(FILE_AT("1:\x01") FILE_AT("1:_")), "two of its files"},
		{MULTI(FILE_AT("1:a1:b") FILE_AT("1:a")), "a folder"},
		{MULTI("d6:lengthi5e4:pathl1:ae10:path.utf-8l2:..ee"),
			"elsewhere"},
		{MULTI("d6:lengthi9223372036854775807e4:pathl1:aee"
		       "d6:lengthi9223372036854775807e4:pathl1:bee"),
			"add up"},
		{MULTI("d6:lengthi0e4:pathl1:aee"), "0 bytes"},
		{SINGLE("4:attr1:l"), "only file"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metainfo m;
		struct error err = {0};

		bool ok = parse(cases[i].in, &m, &err);
		cr_expect_not(ok, "%s", cases[i].in);
		cr_expect(strstr(err.text, cases[i].why), "%s: %s", cases[i].in,
			err.text);
	}
}

Test(metainfo, optional_fields_of_a_wrong_kind_are_passed_over)
{
	struct metainfo m = parsed(
		"d8:announcei1e13:announce-listi1e7:commentle10:created byde"
		"13:creation date4:now!8:encodingi1e5:nodesi1e8:url-listi1e"
		"4:infod" LENGTH NAME TAIL
		"4:attri1e10:name.utf-8i1e6:sourcelee"
		"12:piece layersi1e9:httpseedsi1ee");

	cr_expect_str_eq(m.name, "name");
	cr_expect_str_eq(m.comment, "");
	cr_expect_str_eq(m.created_by, "");
	cr_expect_str_eq(m.source, "");
	cr_expect_eq(m.created_s, 0);
	cr_expect_eq(m.tracker_count, 0);
	cr_expect_eq(m.web_seed_count, 0);
	metainfo_finish(&m);
}

Test(metainfo, texts_become_valid_utf8_without_nul)
{
	struct metainfo m = parsed(ROOT("7:comment4:a\xff\x1b"
					"b"));

	cr_expect_str_eq(m.comment,
		"a\xef\xbf\xbd\x1b"
		"b");
	metainfo_finish(&m);
}

Test(metainfo, files_lie_back_to_back)
{
	struct metainfo m = parsed(MULTI(
		FILE_AT("1:a") "d6:lengthi0e4:pathl3:dir5:emptyee" FILE_AT(
			"3:dir1:b") "d4:attr1:x6:lengthi16374e4:pathl1:cee"));

	cr_expect(m.multi_file);
	cr_assert_eq(m.file_count, 4);
	cr_expect_eq(m.length, 16384);
	cr_expect_str_eq(m.files[0].path, "a");
	cr_expect_str_eq(m.files[1].path, "dir/empty");
	cr_expect_eq(m.files[1].offset, 5);
	cr_expect_str_eq(m.files[2].path, "dir/b");
	cr_expect_eq(m.files[2].offset, 5);
	cr_expect_eq(m.files[3].offset, 10);
	cr_expect(m.files[3].executable);
	metainfo_finish(&m);
}

Test(metainfo, utf8_names_are_taken_before_others)
{
	struct metainfo m =
		parsed(INFO("5:filesl"
			    "d6:lengthi5e4:pathl1:xe10:path.utf-8l2:\xc3\xa4"
			    "ee"
			    "d6:lengthi5e4:pathl1:ye10:path.utf-8i1ee"
			    "d6:lengthi5e4:pathl1:ze10:path.utf-8li1eee"
			    "e" NAME "10:name.utf-82:\xc3\xb6" TAIL));

	cr_expect_str_eq(m.name, "\xc3\xb6");
	cr_expect_str_eq(m.files[0].path, "\xc3\xa4");
	cr_expect_str_eq(m.files[1].path, "y");
	cr_expect_str_eq(m.files[2].path, "z");
	metainfo_finish(&m);
}

Test(metainfo, bad_characters_in_names_are_mended)
{
	struct metainfo m =
		parsed(MULTI(FILE_AT("4:a\n\xff\\2:ok") FILE_AT("2:\xc3\xa4")));

	cr_expect_str_eq(m.files[0].path, "a___/ok");
	cr_expect(m.files[0].mended);
	cr_expect(!m.files[1].mended);
	cr_expect(!m.name_mended);
	metainfo_finish(&m);
}

Test(metainfo, pad_files_and_symlinks_of_bep_47_are_told)
{
	struct metainfo m = parsed(INFO("5:filesl" FILE_AT(
		"1:a") "d4:attr1:p6:lengthi16379e4:pathl4:.pad5:"
		       "16379ee" FILE_AT(
			       "1:b") "d4:attr1:p6:lengthi16379e4:"
				      "pathl4:.pad5:16379ee"
				      "d4:attr1:l4:pathl4:linke12:"
				      "symlink pathl1:aee" FILE_AT(
					      "1:c") "e" NAME PIECE_LENGTH "6:"
						     "pieces60:" HASH HASH
							     HASH));

	cr_assert_eq(m.file_count, 6);
	cr_expect_not(m.files[0].pad);
	cr_expect(m.files[1].pad);
	cr_expect(m.files[3].pad);
	cr_expect_eq(m.files[2].offset, 16384);
	cr_expect(m.files[4].symlink);
	cr_expect_eq(m.files[4].length, 0);
	cr_expect_eq(m.files[5].offset, 32768);
	cr_expect_eq(m.length, 32773);
	metainfo_finish(&m);
}

Test(metainfo, hybrid_is_used_as_v1)
{
	struct metainfo m = parsed(
		"d4:infod9:file treed4:named0:d6:lengthi5e11:pieces root32:"
		"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrreee" LENGTH
		"12:meta versioni2e" NAME TAIL "e12:piece layersdee");

	cr_expect(m.hybrid);
	cr_expect_eq(m.length, 5);
	cr_expect_eq(m.piece_count, 1);
	metainfo_finish(&m);
}

Test(metainfo, private_counts_inside_info_only_and_in_any_kind)
{
	static const struct {
		const char *in;
		bool private;
	} cases[] = {
		{SINGLE(""), false},
		{SINGLE("7:privatei0e"), false},
		{SINGLE("7:privatei1e"), true},
		{SINGLE("7:privatei2e"), true},
		{SINGLE("7:private1:1"), true},
		{SINGLE("7:privatele"), true},
		{ROOT("7:privatei1e"), false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metainfo m = parsed(cases[i].in);
		cr_expect_eq(m.private, cases[i].private, "case %zu", i);
		metainfo_finish(&m);
	}
}

Test(metainfo, last_piece_may_be_shorter)
{
	struct metainfo m = parsed(INFO(
		"6:lengthi16385e" NAME PIECE_LENGTH "6:pieces40:" HASH HASH));

	cr_expect_eq(metainfo_piece_size(&m, 0), 16384);
	cr_expect_eq(metainfo_piece_size(&m, 1), 1);
	cr_expect_eq(metainfo_piece_size(&m, 2), 0);
	metainfo_finish(&m);

	m = parsed(INFO("6:lengthi16384e" NAME TAIL));
	cr_expect_eq(metainfo_piece_size(&m, 0), 16384);
	cr_expect_eq(metainfo_piece_size(&m, 1), 0);
	metainfo_finish(&m);
}

static void append_path(struct buffer *b, size_t elements, size_t element_len)
{
	char head[16];
	char name[300];
	int n = snprintf(head, sizeof(head), "%zu:", element_len);

	memset(name, 'x', sizeof(name));
	for (size_t i = 0; i < elements; i++) {
		buffer_append(b, head, (size_t)n);
		buffer_append(b, name, element_len);
	}
}

Test(metainfo, path_is_bounded_in_depth_and_length)
{
	static const struct {
		size_t elements, element_len;
		bool ok;
	} cases[] = {
		{100, 1, true},
		{101, 1, false},
		{15, 255, true},
		{15, 272, true}, /* each is cut to 255 */
		{16, 255, false},
		{90, 44, true},
		{100, 44, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer b;
		struct metainfo m;
		struct error err;
		static const char head[] =
			"d4:infod5:filesld6:lengthi5e4:pathl";
		static const char tail[] = "eee" NAME TAIL "ee";

		buffer_init(&b, 100000);
		buffer_append(&b, head, sizeof(head) - 1);
		append_path(&b, cases[i].elements, cases[i].element_len);
		buffer_append(&b, tail, sizeof(tail) - 1);
		bool ok =
			metainfo_parse((struct span){b.bytes, b.len}, &m, &err);
		cr_expect_eq(ok, cases[i].ok, "case %zu: %s", i,
			ok ? "taken" : err.text);
		if (ok)
			metainfo_finish(&m);
		buffer_finish(&b);
	}
}

Test(metainfo, hundred_thousand_files_are_no_trouble)
{
	enum { FILES = 100000 };
	struct buffer b;
	struct metainfo m;
	struct error err;
	static const char head[] = "d4:infod5:filesl";
	static const char tail[] =
		"e" NAME "12:piece lengthi524288e6:pieces20:" HASH "ee";

	buffer_init(&b, METAINFO_MAX_SIZE);
	buffer_append(&b, head, sizeof(head) - 1);
	for (unsigned i = FILES; i-- > 0;) {
		char text[64];
		int n = snprintf(text, sizeof(text),
			"d6:lengthi5e4:pathl4:dirs5:%05u6:%06uee", i / 10, i);
		buffer_append(&b, text, (size_t)n);
	}
	buffer_append(&b, tail, sizeof(tail) - 1);
	cr_assert_not(b.failed);
	cr_assert(metainfo_parse((struct span){b.bytes, b.len}, &m, &err), "%s",
		err.text);
	cr_expect_eq(m.file_count, FILES);
	cr_expect_eq(m.files[FILES - 1].offset, 5 * (FILES - 1));
	metainfo_finish(&m);
	buffer_finish(&b);
}

Test(metainfo, load_names_the_file_and_never_waits)
{
	char dir[] = "/tmp/tbt-metainfo-XXXXXX";
	char path[64];
	struct metainfo m;
	struct error err;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/x.torrent", dir);
	cr_expect_not(metainfo_load(path, &m, &err));
	cr_expect_eq(errno, ENOENT);
	cr_expect(strstr(err.text, "x.torrent: cannot open: No such file"),
		"%s", err.text);

	FILE *f = fopen(path, "w");
	cr_assert(f && fputs(SINGLE("") "\n", f) >= 0 && fclose(f) == 0);
	cr_assert(metainfo_load(path, &m, &err), "%s", err.text);
	metainfo_finish(&m);

	cr_assert_eq(truncate(path, METAINFO_MAX_SIZE + 21), 0);
	cr_expect_not(metainfo_load(path, &m, &err));
	cr_expect(strstr(err.text, "larger than 10 MiB"), "%s", err.text);
	cr_assert_eq(truncate(path, 20), 0);
	cr_expect_not(metainfo_load(path, &m, &err));
	cr_expect_eq(errno, 0);
	cr_expect(strstr(err.text, "x.torrent: not a torrent"), "%s", err.text);

	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_not(metainfo_load(path, &m, &err));
	cr_expect_not(metainfo_load(dir, &m, &err));
	cr_expect_eq(errno, 0);
	cr_expect(strstr(err.text, "not a file"), "%s", err.text);
	cr_expect_not(metainfo_load("/dev/zero", &m, &err));
	unlink(path);
	rmdir(dir);
}

Test(metainfo, piece_hashes_do_not_count_as_size)
{
	enum { COUNT = 953675 }; /* a terabyte in pieces of 1 MiB */
	static const char begin[] =
		"d4:infod6:lengthi1000000000000e4:name1:x12:piece length"
		"i1048576e6:pieces19073500:";
	size_t size = sizeof(begin) - 1 + COUNT * 20 + 2;
	char *bytes = calloc(1, size);
	struct metainfo m;
	struct error err;

	cr_assert(bytes);
	memcpy(bytes, begin, sizeof(begin) - 1);
	memcpy(bytes + size - 2, "ee", 2);
	cr_assert(
		metainfo_parse((struct span){(uint8_t *)bytes, size}, &m, &err),
		"%s", err.text);
	cr_expect_eq(m.piece_count, COUNT);
	metainfo_finish(&m);
	free(bytes);
}
