#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tracker/passkeys.h"

/* Lines of a passkey file, and paths that a key may be in: a key that is found
 * lies within, is short, and is found again in a path. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct span input = {bytes, len};
	struct span key = passkey_of_path(input, "/announce");

	if (key.len > 0)
		require(key.at >= bytes && key.at + key.len <= bytes + len);
	if (!passkey_of_line(input, &key) || key.len == 0)
		return 0;
	require(key.at >= bytes && key.at + key.len <= bytes + len &&
		key.len <= PASSKEY_MAX_SIZE);

	uint8_t path[sizeof("/announce/?") + PASSKEY_MAX_SIZE] = "/announce/";
	memcpy(path + 10, key.at, key.len);
	path[10 + key.len] = '?';
	struct span found =
		passkey_of_path((struct span){path, 11 + key.len}, "/announce");
	require(found.len == key.len && memcmp(found.at, key.at, key.len) == 0);
	return 0;
}
