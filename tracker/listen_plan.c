#include "tracker/listen_plan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/text.h"

bool listen_plan_of_options(const char *const *texts, size_t count,
	struct listen_plan *ret, struct error *err)
{
	struct listen_plan plan = {0};

	if (count > LISTEN_PLAN_MAX)
		return error_set(
			err, "--listen: at most %d addresses", LISTEN_PLAN_MAX);
	for (size_t i = 0; i < count; i++) {
		char shown[80];

		if (!endpoint_parse(texts[i], &plan.at[plan.count++]))
			return error_set(err,
				"--listen: wants ADDR:PORT or [ADDR]:PORT, "
				"such as 0.0.0.0:6969, not '%s'",
				text_escape_str(
					texts[i], shown, sizeof(shown)));
	}
	*ret = plan;
	return true;
}

/* Whether a socket can be bound to it. */
static bool is_ours(const struct endpoint *address)
{
	struct endpoint any_port = *address;
	struct sockaddr_storage sa;

	any_port.port = 0;
	socklen_t len = endpoint_to_sockaddr(&any_port, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bool ours = bind(fd, (const struct sockaddr *)&sa, len) == 0;
	close(fd);
	return ours;
}

struct listen_plan listen_plan_of_port(uint16_t port)
{
	struct listen_plan plan = {0};
	struct endpoint v4 = {.ip = {[10] = 0xff, [11] = 0xff}, .port = port};
	struct endpoint v6 = {.port = port};

	plan.at[plan.count++] = v4;
	if (is_ours(&v6))
		plan.at[plan.count++] = v6;
	return plan;
}

/* HOST[:PORT] of an http or udp URL, cut out of it. */
static bool split_url(const char *url, char *host, size_t size, uint16_t *port)
{
	uint64_t number = 80;

	if (strncasecmp(url, "http://", 7) == 0)
		url += 7;
	else if (strncasecmp(url, "udp://", 6) == 0)
		url += 6;
	else
		return false;

	size_t len = strcspn(url, "/?#");
	const char *at = memchr(url, '@', len);
	if (at) { /* user:password@ */
		len -= (size_t)(at + 1 - url);
		url = at + 1;
	}
	if (len >= size)
		return false;
	memcpy(host, url, len);
	host[len] = '\0';

	char *colon = strrchr(host, ':');
	if (colon && !strchr(colon, ']')) {
		if (!text_parse_number(colon + 1, 1, 65535, &number))
			return false;
		*colon = '\0';
	}
	*port = (uint16_t)number;
	return true;
}

bool listen_plan_of_url(
	const char *url, struct listen_plan *ret, struct error *err)
{
	char host[300];
	uint16_t port;
	struct endpoint address;

	if (!split_url(url, host, sizeof(host), &port))
		return error_set(err,
			"its announce URL is not http or udp and does not say "
			"where to listen: use --listen");
	if (endpoint_parse_ip(host, &address) && is_ours(&address)) {
		address.port = port;
		*ret = (struct listen_plan){.count = 1, .at = {address}};
	} else {
		*ret = listen_plan_of_port(port);
	}
	return true;
}
