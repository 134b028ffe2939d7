#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/bencode_writer.h"

Test(bencode_writer, writes_what_the_reader_reads)
{
	struct buffer out;
	struct bencode_writer w;
	struct span dict, list, string;
	int64_t number;

	buffer_init(&out, 1000);
	bencode_writer_init(&w, &out);
	bencode_dict_open(&w);
	bencode_write_key(&w, "a");
	bencode_write_int(&w, INT64_MIN);
	bencode_write_key(&w, "b");
	bencode_list_open(&w);
	bencode_write_text(&w, "spam");
	bencode_write_string(&w, "\0x", 2);
	bencode_write_string(&w, "", 0);
	bencode_dict_open(&w);
	bencode_write_key(&w, "a"); /* each dictionary has its own order */
	bencode_write_int(&w, 0);
	bencode_dict_close(&w);
	bencode_list_close(&w);
	bencode_write_key(&w, "c");
	bencode_list_open(&w);
	bencode_list_close(&w);
	bencode_dict_close(&w);

	static const char expected[] = "d1:ai-9223372036854775808e"
				       "1:bl4:spam2:\0x0:d1:ai0eee1:clee";
	cr_assert_eq(out.len, sizeof(expected) - 1);
	cr_expect_eq(memcmp(out.bytes, expected, out.len), 0);
	cr_assert(bencode_document((struct span){out.bytes, out.len}, &dict));
	cr_expect(bencode_find_int(dict, "a", &number));
	cr_expect_eq(number, INT64_MIN);
	cr_expect(bencode_find(dict, "b", &list));
	cr_expect_not(bencode_find_string(dict, "b", &string));
	buffer_finish(&out);
}

Test(bencode_writer, lack_of_room_is_told_at_the_end)
{
	struct buffer out;
	struct bencode_writer w;

	buffer_init(&out, 4);
	bencode_writer_init(&w, &out);
	bencode_list_open(&w);
	bencode_write_text(&w, "too long");
	bencode_list_close(&w);
	cr_expect(out.failed);
	buffer_finish(&out);
}

#ifndef NDEBUG
Test(bencode_writer, unsorted_keys_are_our_own_mistake, .signal = SIGABRT)
{
	struct buffer out;
	struct bencode_writer w;

	buffer_init(&out, 100);
	bencode_writer_init(&w, &out);
	bencode_dict_open(&w);
	bencode_write_key(&w, "b");
	bencode_write_int(&w, 0);
	bencode_write_key(&w, "a");
}
#endif
