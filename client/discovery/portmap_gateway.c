#include "client/discovery/portmap_gateway.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <natpmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "client/discovery/portmap_rules.h"
#include "shared/clock.h"
#include "shared/text.h"

enum {
	NATPMP_MS = 2000,   /* for an answer: three tries */
	UNMAP_MS = 500,     /* for each of the two */
	DISCOVER_MS = 1200, /* devices take up to a second (MX: 1) */
	UPNP_HOPS = 2,      /* UPnP Device Architecture */
	NUMBER_SIZE = 12,
	/* Error codes of UPnP's AddPortMapping. */
	UPNP_CONFLICT = 718,
	UPNP_PERMANENT_ONLY = 725,
};

/* In this order: who stops us sets the one and then looks at the other. */
static bool may_ask(const struct portmap_request *r)
{
	*r->asked = true;
	return !*r->stopping;
}

/* ---- NAT-PMP ---- */

/* The answer to the request just sent, or false. */
static bool natpmp_answer(
	const struct portmap_request *r, natpmp_t *n, natpmpresp_t *ret)
{
	bool ending = *r->stopping; /* then the stop is why we ask */
	uint64_t end_ms = clock_ms() + (ending ? UNMAP_MS : NATPMP_MS);

	for (;;) {
		struct timeval left = {0};
		struct pollfd fds[] = {
			{.fd = n->s, .events = POLLIN},
			{.fd = ending ? -1 : r->stop_fd, .events = POLLIN},
		};
		uint64_t now_ms = clock_ms();

		if (now_ms >= end_ms || (*r->stopping && !ending) ||
			getnatpmprequesttimeout(n, &left) != 0)
			return false;
		int64_t wait_ms = left.tv_sec * 1000 + left.tv_usec / 1000;
		if (wait_ms > (int64_t)(end_ms - now_ms))
			wait_ms = (int64_t)(end_ms - now_ms);
		if (wait_ms > 0)
			(void)poll(fds, 2, (int)wait_ms);
		int status = readnatpmpresponseorretry(n, ret);
		if (status != NATPMP_TRYAGAIN)
			return status == 0;
	}
}

/* The gateway gives the port to who asks, which must be who we are. */
static bool asks_from_bind(const struct portmap_request *r, const natpmp_t *n)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint here;

	return !r->bind ||
		(getsockname(n->s, (struct sockaddr *)&sa, &len) == 0 &&
			endpoint_from_sockaddr((struct sockaddr *)&sa, &here) &&
			endpoint_same_ip(&here, r->bind));
}

static bool natpmp_map_one(const struct portmap_request *r, natpmp_t *n,
	int protocol, uint16_t external, uint32_t lease_s, natpmpresp_t *ret)
{
	return sendnewportmappingrequest(
		       n, protocol, r->port, external, lease_s) >= 0 &&
		natpmp_answer(r, n, ret);
}

static bool map_by_natpmp(
	const struct portmap_request *r, struct portmap_lease *ret)
{
	struct portmap_lease lease = {.by = PORTMAP_NATPMP};
	natpmpresp_t answer;
	natpmp_t n;
	bool ok = false;

	if (initnatpmp(&n, 0, 0) != 0)
		return false; /* no way out of here, for example */
	if (!asks_from_bind(r, &n) || sendpublicaddressrequest(&n) < 0 ||
		!natpmp_answer(r, &n, &answer))
		goto out;
	struct sockaddr_in sa = {.sin_family = AF_INET,
		.sin_addr = answer.pnu.publicaddress.addr};
	(void)endpoint_from_sockaddr((struct sockaddr *)&sa, &lease.external);

	if (!may_ask(r) ||
		!natpmp_map_one(r, &n, NATPMP_PROTOCOL_TCP, r->external,
			PORTMAP_LEASE_S, &answer) ||
		answer.pnu.newportmapping.lifetime == 0)
		goto out;
	lease.external.port = answer.pnu.newportmapping.mappedpublicport;
	lease.lease_s = answer.pnu.newportmapping.lifetime;
	ok = lease.external.port != 0;
	if (ok)
		/* Without it the DHT works, by what it sends. */
		(void)natpmp_map_one(r, &n, NATPMP_PROTOCOL_UDP,
			lease.external.port, PORTMAP_LEASE_S, &answer);
	*ret = lease;
out:
	closenatpmp(&n);
	return ok;
}

static void unmap_by_natpmp(const struct portmap_request *r)
{
	natpmpresp_t answer;
	natpmp_t n;

	if (initnatpmp(&n, 0, 0) != 0)
		return;
	(void)natpmp_map_one(r, &n, NATPMP_PROTOCOL_TCP, 0, 0, &answer);
	(void)natpmp_map_one(r, &n, NATPMP_PROTOCOL_UDP, 0, 0, &answer);
	closenatpmp(&n);
}

/* ---- UPnP ---- */

/* A router found, and how to talk to it. */
struct router {
	struct UPNPUrls urls;
	struct IGDdatas data;
	char our_address[64];
};

/* Is the device what it says, and where it says?  Its URLs must lead to itself.
 */
static bool open_router(const char *url, struct router *ret)
{
	struct endpoint device, control;

	memset(ret, 0, sizeof(*ret));
	if (!portmap_router_url(url, &device) ||
		UPNP_GetIGDFromUrl(url, &ret->urls, &ret->data,
			ret->our_address, sizeof(ret->our_address)) != 1)
		return false;
	if (ret->urls.controlURL && ret->data.first.servicetype[0] != '\0' &&
		portmap_router_url(ret->urls.controlURL, &control) &&
		endpoint_same_ip(&device, &control))
		return true;
	FreeUPNPUrls(&ret->urls);
	return false;
}

/* The first router that answers to one of the names; between two names there is
 * time to stop. */
static bool find_router(const struct portmap_request *r, struct router *ret)
{
	static const char *const names[] = {
		"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
		"urn:schemas-upnp-org:service:WANIPConnection:1",
		"urn:schemas-upnp-org:service:WANPPPConnection:1",
	};
	char bind[ENDPOINT_TEXT_SIZE];
	const char *from = r->bind ? endpoint_print_ip(r->bind, bind) : NULL;
	bool found = false;

	for (size_t i = 0; i < 3 && !found && !*r->stopping; i++) {
		const char *const asked[] = {names[i], NULL};
		int error;
		struct UPNPDev *list =
			upnpDiscoverDevices(asked, DISCOVER_MS, from, NULL,
				UPNP_LOCAL_PORT_ANY, 0, UPNP_HOPS, &error, 0);

		for (struct UPNPDev *d = list; d && !found && !*r->stopping;
			d = d->pNext)
			found = d->descURL && open_router(d->descURL, ret);
		freeUPNPDevlist(list);
	}
	return found;
}

static int add_mapping(const struct portmap_request *r, const struct router *to,
	uint16_t external, const char *protocol, uint32_t lease_s)
{
	char ours[NUMBER_SIZE], outside[NUMBER_SIZE], seconds[NUMBER_SIZE];
	char bind[ENDPOINT_TEXT_SIZE];

	snprintf(ours, sizeof(ours), "%u", r->port);
	snprintf(outside, sizeof(outside), "%u", external);
	snprintf(seconds, sizeof(seconds), "%u", lease_s);
	return UPNP_AddPortMapping(to->urls.controlURL,
		to->data.first.servicetype, outside, ours,
		r->bind ? endpoint_print_ip(r->bind, bind) : to->our_address,
		"tbt", protocol, NULL, seconds);
}

/* The router's code: 0 if the port is ours. */
static int add_tcp(const struct portmap_request *r, const struct router *to,
	struct portmap_lease *lease)
{
	int code = UPNP_CONFLICT;

	for (unsigned i = 0;
		i < PORTMAP_PORTS_MAX && code == UPNP_CONFLICT && !*r->stopping;
		i++) {
		uint16_t external = portmap_port(r->external, i, r->dice);

		lease->lease_s = PORTMAP_LEASE_S;
		code = add_mapping(r, to, external, "TCP", lease->lease_s);
		if (code == UPNP_PERMANENT_ONLY) {
			lease->lease_s = 0;
			code = add_mapping(r, to, external, "TCP", 0);
		}
		lease->external.port = external;
	}
	return code;
}

static bool map_by_upnp(const struct portmap_request *r,
	struct portmap_lease *ret, struct error *err)
{
	struct portmap_lease lease = {.by = PORTMAP_UPNP};
	char address[64] = "";
	struct router to;

	if (!find_router(r, &to))
		return error_set(err, "no router answers");
	const char *service = to.data.first.servicetype;
	size_t url_len = strlen(to.urls.controlURL);
	bool fits = url_len < sizeof(lease.control_url) &&
		strlen(service) < sizeof(lease.service);
	int code = fits && may_ask(r) ? add_tcp(r, &to, &lease) : -1;
	if (code == 0) {
		uint16_t port = lease.external.port;

		(void)add_mapping(r, &to, port, "UDP", lease.lease_s);
		memcpy(lease.control_url, to.urls.controlURL, url_len + 1);
		strcpy(lease.service, service);
		if (UPNP_GetExternalIPAddress(
			    to.urls.controlURL, service, address) == 0)
			(void)endpoint_parse_ip(address, &lease.external);
		lease.external.port = port;
		*ret = lease;
	} else {
		const char *why = strupnperror(code);
		error_set(err, "the router refuses: %s (%d)",
			why ? why : "unknown error", code);
	}
	FreeUPNPUrls(&to.urls);
	return code == 0;
}

static void unmap_by_upnp(const struct portmap_lease *lease)
{
	char port[NUMBER_SIZE];

	snprintf(port, sizeof(port), "%u", lease->external.port);
	(void)UPNP_DeletePortMapping(
		lease->control_url, lease->service, port, "TCP", NULL);
	(void)UPNP_DeletePortMapping(
		lease->control_url, lease->service, port, "UDP", NULL);
}

/* ---- either ---- */

bool portmap_gateway_map(const struct portmap_request *r,
	struct portmap_lease *ret, struct error *err)
{
	if (map_by_natpmp(r, ret))
		return true;
	if (*r->stopping)
		return error_set(err, "stopping");
	return map_by_upnp(r, ret, err);
}

void portmap_gateway_unmap(
	const struct portmap_request *r, const struct portmap_lease *lease)
{
	switch (lease->by) {
	case PORTMAP_NATPMP:
		unmap_by_natpmp(r);
		break;
	case PORTMAP_UPNP:
		unmap_by_upnp(lease);
		break;
	}
}
