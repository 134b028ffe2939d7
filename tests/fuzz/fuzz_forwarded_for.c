#include <string.h>

#include "shared/endpoint.h"
#include "tests/fuzz/fuzz.h"
#include "tracker/trusted_proxies.h"

/* X-Forwarded-For as anybody may have begun it: a client that is found can be
 * dialled, and is no proxy of ours unless all of the header are. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const networks[] = {"10.0.0.0/8", "fd00::/9"};
	struct span header = {bytes, len};
	struct trusted_proxies p;
	struct endpoint e = {.port = 1};
	struct error err;

	require(trusted_proxies_of_options(networks, 2, &p, &err));
	if (!trusted_proxies_client(&p, header, &e))
		return 0;
	require(endpoint_dialable(&e) && len <= FORWARDED_MAX_SIZE);
	/* What is written to the left of an untrusted one is not looked at. */
	if (!trusted_proxies_has(&p, &e)) {
		uint8_t longer[FORWARDED_MAX_SIZE + 4];
		struct endpoint again = {.port = 1};

		memcpy(longer, "x\xff, ", 4);
		memcpy(longer + 4, bytes, len);
		header = (struct span){longer, len + 4};
		if (len + 4 <= FORWARDED_MAX_SIZE)
			require(trusted_proxies_client(&p, header, &again) &&
				endpoint_equal(&e, &again));
	}
	return 0;
}
