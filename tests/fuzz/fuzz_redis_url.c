/* --store as a person wrote it: what is taken has a place to go to, and fits.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tracker/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct redis_url url;
	struct error err;

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (redis_url_parse(text, &url, &err)) {
		require((url.host[0] == '\0') != (url.path[0] == '\0'));
		require(url.host[0] == '\0' || url.port != 0);
		require(memchr(url.host, 0, sizeof(url.host)) &&
			memchr(url.path, 0, sizeof(url.path)) &&
			memchr(url.user, 0, sizeof(url.user)) &&
			memchr(url.password, 0, sizeof(url.password)));
	}
	free(text);
	return 0;
}
