#include <criterion/criterion.h>
#include <string.h>

#include "tracker/redis_url.h"

Test(redis_url, says_where_and_who)
{
	static const struct {
		const char *text;
		struct redis_url url;
	} cases[] = {
		{"redis://localhost", {.host = "localhost", .port = 6379}},
		{"redis://localhost/", {.host = "localhost", .port = 6379}},
		{"REDIS://h:1/15", {.host = "h", .port = 1, .db = 15}},
		{"redis://10.0.0.1:65535", {.host = "10.0.0.1", .port = 65535}},
		{"redis://[::1]", {.host = "::1", .port = 6379}},
		{"redis://[2001:db8::5]:7000/2",
			{.host = "2001:db8::5", .port = 7000, .db = 2}},
		{"redis://:secret@h",
			{.host = "h", .port = 6379, .password = "secret"}},
		{"redis://me:p%40s%3As%2f@h:7/1",
			{.host = "h",
				.port = 7,
				.user = "me",
				.password = "p@s:s/",
				.db = 1}},
		{"redis://me:a@b@h",
			{.host = "h",
				.port = 6379,
				.user = "me",
				.password = "a@b"}},
		{"unix:/run/redis.sock", {.path = "/run/redis.sock"}},
		{"unix:///run/redis.sock?db=3",
			{.path = "/run/redis.sock", .db = 3}},
		{"redis+unix:///r", {.path = "/r"}},
		{"redis+unix:/r", {.path = "/r"}},
		{"unix://:pw@/r@x", {.path = "/r@x", .password = "pw"}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct redis_url *wanted = &cases[i].url;
		struct redis_url url;
		struct error err = {""};

		cr_assert(redis_url_parse(cases[i].text, &url, &err), "%s: %s",
			cases[i].text, err.text);
		cr_expect_str_eq(url.host, wanted->host, "%s", cases[i].text);
		cr_expect_str_eq(url.path, wanted->path, "%s", cases[i].text);
		cr_expect_str_eq(url.user, wanted->user, "%s", cases[i].text);
		cr_expect_str_eq(
			url.password, wanted->password, "%s", cases[i].text);
		cr_expect_eq(url.port, wanted->port, "%s", cases[i].text);
		cr_expect_eq(url.db, wanted->db, "%s", cases[i].text);
	}
}

Test(redis_url, what_is_wrong_is_said_without_the_password)
{
	static const char *const cases[] = {
		"",
		"memory:",
		"redis:",
		"redis:/secret",
		"http://secret",
		"rediss://secret",
		"redis://",
		"redis:///0",
		"redis://:secret@",
		"redis://secret@h",
		"redis://:@h",
		"redis://:secret%@h",
		"redis://:secret%zz@h",
		"redis://:secret%00@h",
		"redis://:secret@h:0",
		"redis://:secret@h:65536",
		"redis://:secret@h:",
		"redis://:secret@h:6379x",
		"redis://:secret@h:00000006379",
		"redis://:secret@h/x",
		"redis://:secret@h/-1",
		"redis://:secret@h/1/2",
		"redis://:secret@h/1000001",
		"redis://:secret@h?db=1",
		"redis://:secret@h#1",
		"redis://:secret@[::1",
		"redis://:secret@[]",
		"redis://:secret@[::1]x",
		"redis://:secret@::1",
		"unix:",
		"unix:secret",
		"unix://secret/r",
		"unix:/secret?db=",
		"unix:/secret?base=1",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_url url;
		struct error err = {""};

		cr_expect_not(
			redis_url_parse(cases[i], &url, &err), "%s", cases[i]);
		cr_expect(err.text[0] != '\0', "%s", cases[i]);
		cr_expect_not(strstr(err.text, "secret"), "%s", err.text);
	}
}

Test(redis_url, what_is_too_long_is_refused)
{
	char text[2048];
	struct redis_url url;
	struct error err;

	for (size_t len = 100; len < 1900; len += 150) {
		memset(text, 'a', sizeof(text));
		memcpy(text, "redis://", 8);
		text[8 + len] = '\0';
		cr_expect_eq(redis_url_parse(text, &url, &err), len < 254);
		memcpy(text, "unix:/", 6);
		cr_expect_eq(redis_url_parse(text, &url, &err), len + 3 < 108);
		memcpy(text, "redis://:", 9);
		memcpy(text + 8 + len, "@h", 3);
		cr_expect_eq(redis_url_parse(text, &url, &err), len - 1 < 256);
	}
}
