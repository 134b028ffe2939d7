#include "client/discovery/portmap_rules.h"

#include <string.h>
#include <strings.h>

#include "shared/text.h"

static uint64_t within(uint64_t ms, uint64_t min, uint64_t max)
{
	if (ms < min)
		return min;
	return ms < max ? ms : max;
}

uint64_t portmap_renew_ms(uint32_t lease_s)
{
	/* One without an end goes with the router's next restart. */
	if (lease_s == 0)
		return PORTMAP_RENEW_MAX_MS;
	return within((uint64_t)lease_s * 1000 / 2, PORTMAP_RENEW_MIN_MS,
		PORTMAP_RENEW_MAX_MS);
}

uint64_t portmap_retry_ms(unsigned failures)
{
	uint64_t ms = (uint64_t)PORTMAP_RETRY_MS
		<< (failures < 16 ? failures : 16);

	return within(ms, PORTMAP_RETRY_MS, PORTMAP_RETRY_MAX_MS);
}

uint16_t portmap_port(uint16_t ours, unsigned n, uint32_t dice)
{
	enum { FIRST = 49152, COUNT = 65536 - FIRST }; /* dynamic ones */

	return n == 0 ? ours : (uint16_t)(FIRST + (dice + n * 4099) % COUNT);
}

bool portmap_router_url(const char *url, struct endpoint *ret)
{
	static const char scheme[] = "http://";
	char host[64];
	struct endpoint e;

	if (strncasecmp(url, scheme, strlen(scheme)) != 0)
		return false;
	url += strlen(scheme);
	size_t len = strcspn(url, "/?#");
	if (len >= sizeof(host))
		return false;
	memcpy(host, url, len);
	host[len] = '\0';

	if (!endpoint_parse(host, &e)) {
		if (!endpoint_parse_ip(host, &e))
			return false;
		e.port = 80;
	}
	if (!endpoint_dialable(&e) || !endpoint_is_v4(&e) ||
		!endpoint_is_private(&e))
		return false;
	*ret = e;
	return true;
}
