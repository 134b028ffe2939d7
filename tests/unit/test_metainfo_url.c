/* Which URLs are of use to us, and what people are shown of them. */

#include "shared/metainfo.h"

#include <criterion/criterion.h>

Test(metainfo_url, url_is_usable_or_not)
{
	static const struct {
		const char *url;
		bool tracker, web_seed;
	} cases[] = {
		{"http://a", true, true},
		{"http://a/", true, true},
		{"HTTPS://tracker.example:443/x/announce?k=1", true, true},
		{"http://a?x=1", true, true},
		{"udp://a:1", true, false},
		{"udp://a:65535/announce", true, false},
		{"udp://a", false, false},
		{"http://[::1]:6969/announce", true, true},
		{"http://[::1]", true, true},
		{"http://[]", false, false},
		{"http://[::1", false, false},
		{"http://[::1]x", false, false},
		{"http://[evil]", false, false},
		{"http://m\xc3\xbcnchen.example/", true, true},
		{"", false, false},
		{"http", false, false},
		{"http:/a", false, false},
		{"http://", false, false},
		{"http:///x", false, false},
		{"http://:80/", false, false},
		{"http://a:0/", false, false},
		{"http://a:65536/", false, false},
		{"http://a:/", false, false},
		{"http://a:8x/", false, false},
		{"http://a:00000000080/", false, false},
		{"http://user@a/", false, false},
		{"http://a b/", false, false},
		{"http://a/\n", false, false},
		{"http://a/\r\nHost: b", false, false},
		{"http://a/\x7f", false, false},
		{"http://a/\xc2\x9b", false, false},
		{"http://a/\xff", false, false},
		{"ftp://a/", false, false},
		{"file:///etc/passwd", false, false},
		{"wss://a/", false, false},
		{"javascript:alert(1)", false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(metainfo_url_usable(cases[i].url, true),
			cases[i].tracker, "%s", cases[i].url);
		cr_expect_eq(metainfo_url_usable(cases[i].url, false),
			cases[i].web_seed, "%s", cases[i].url);
	}
}

Test(metainfo_url, people_are_shown_the_host_alone)
{
	static const struct {
		const char *url, *host;
	} cases[] = {
		{"http://h/key/x", "h"},
		{"https://h:8443?key", "h:8443"},
		{"http://[::1]:80/", "[::1]:80"},
		{"http://a-very-long-name/", "a-very-"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char host[9];
		size_t size = i == 3 ? 8 : sizeof(host);

		cr_expect_str_eq(metainfo_url_host(cases[i].url, host, size),
			cases[i].host);
	}
}
