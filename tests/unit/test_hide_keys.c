#include <criterion/criterion.h>

#include "client/ui/hide_keys.h"

struct hidden {
	const char *in;
	const char *out;
};

Test(hide_keys, urls_lose_what_may_be_a_key)
{
	static const struct hidden cases[] = {
		{"http://tracker.example:6969/announce",
			"http://tracker.example:6969/announce"},
		{"http://a-rather-long-name-of-1234.example/announce.php",
			"http://a-rather-long-name-of-1234.example/"
			"announce.php"},
		{"http://t.example/0123456789abcdef0123456789abcdef/announce",
			"http://t.example/.../announce"},
		{"http://t.example/secret12/announce",
			"http://t.example/.../announce"},
		{"http://t.example/announce?passkey=abc&x",
			"http://t.example/announce?passkey=...&x"},
		{"http://t.example?0123456789abcdef", "http://t.example?..."},
		{"http://t.example/a?k=v=w;l=m",
			"http://t.example/a?k=...;l=..."},
		{"https://me:word@t.example/announce",
			"https://...@t.example/announce"},
		{"udp://t.example:80", "udp://t.example:80"},
		{"0123456789abcdef", "0123456789abcdef"}, /* a host */
		{"", ""},
		{"://", "://"},
		{"http://t.example/a#0123456789abcdef",
			"http://t.example/a#..."},
		/* The URLs in it are none of its own. */
		{"magnet:?xt=urn:btih:abc&tr=udp%3A%2F%2Ft%2Fkey&tr=udp://t/"
		 "k",
			"magnet:?xt=...&tr=...&tr=..."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[128];
		cr_expect_str_eq(
			hide_keys_in_url(cases[i].in, out, sizeof(out)),
			cases[i].out);
	}
}

Test(hide_keys, words_of_a_tracker_lose_what_looks_like_a_key)
{
	static const struct hidden cases[] = {
		{"HTTP 404", "HTTP 404"},
		{"Connection refused", "Connection refused"},
		{"unknown passkey 'ab12cd34ef'", "unknown passkey '...'"},
		{"key=0123456789abcdef!", "...!"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[128];
		cr_expect_str_eq(
			hide_keys_in_text(cases[i].in, out, sizeof(out)),
			cases[i].out);
	}
}

Test(hide_keys, the_end_is_cut_to_fit)
{
	char out[16] = "untouched";

	hide_keys_in_text("ab cdef", out, 5);
	cr_expect_str_eq(out, "ab ");
	hide_keys_in_text("ab", out, 1);
	cr_expect_str_eq(out, "");
}
