#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "shared/event_line.h"

/* What event_line_print() writes. */
static char printed[1024];

static void print(struct event_line *e)
{
	memset(printed, 0, sizeof(printed));
	FILE *f = fmemopen(printed, sizeof(printed), "w");
	event_line_print(e, f);
	fclose(f);
}

Test(event_line, begins_with_event_and_time)
{
	struct event_line e;

	event_line_begin(&e, "listening");
	event_line_number(&e, "port", 6881);
	print(&e);
	cr_expect(strncmp(printed, "{\"event\":\"listening\",\"time\":", 27) ==
		0);
	cr_expect_str_eq(strstr(printed, ",\"port\""), ",\"port\":6881}\n");
}

Test(event_line, keeps_every_kind_of_value)
{
	struct event_line e;
	struct info_hash hash = {{0xab}};

	event_line_begin(&e, "x");
	event_line_number(&e, "big", UINT64_MAX);
	event_line_signed(&e, "eta", -1);
	event_line_real(&e, "real", 0.25);
	event_line_real(&e, "odd", 1.0 / 0.0);
	event_line_bool(&e, "failed", true);
	event_line_hash(&e, "info_hash", &hash);
	print(&e);

	json_t *json = json_loads(printed, 0, NULL);
	cr_assert_not_null(json);
	cr_expect_eq(
		json_integer_value(json_object_get(json, "big")), INT64_MAX);
	cr_expect_eq(json_integer_value(json_object_get(json, "eta")), -1);
	cr_expect_float_eq(
		json_real_value(json_object_get(json, "real")), 0.25, 1e-9);
	cr_expect_float_eq(
		json_real_value(json_object_get(json, "odd")), 0, 1e-9);
	cr_expect(json_is_true(json_object_get(json, "failed")));
	cr_expect_str_eq(json_string_value(json_object_get(json, "info_hash")),
		"ab00000000000000000000000000000000000000");
	json_decref(json);
}

Test(event_line, ranges_are_a_list_of_pairs)
{
	static const uint64_t ranges[][2] = {{0, 5}, {7, UINT64_MAX}};
	struct event_line e;

	event_line_begin(&e, "x");
	event_line_ranges(&e, "some", ranges, 2);
	event_line_ranges(&e, "none", ranges, 0);
	print(&e);
	cr_expect_str_eq(strstr(printed, ",\"some\""),
		",\"some\":[[0,5],[7,9223372036854775807]],\"none\":[]}\n");
}

Test(event_line, foreign_text_cannot_forge_a_line)
{
	struct event_line e;

	event_line_begin(&e, "x");
	event_line_text(&e, "name", "a\n\"}\x1b\x7f\xc2\x9b\xff\xc3\xbc");
	print(&e);
	cr_expect_str_eq(strstr(printed, "\"name\""),
		"\"name\":\"a\\n\\\"}\\u001B\\u007f\\u009B\\uFFFD\\u00FC\"}\n");
}
