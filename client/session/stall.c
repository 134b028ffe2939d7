#include "client/session/stall.h"

#include <inttypes.h>
#include <stdio.h>

const char *stall_reason(const struct stall_facts *f, char ret[STALL_TEXT_SIZE])
{
	const char *tracker = f->tracker[0] != '\0'
		? f->tracker
		: "no tracker has been asked";
	unsigned asked = f->offering - f->choking - f->limited;

	if (f->connected == 0 && f->addresses == 0 && !f->dialling)
		snprintf(ret, STALL_TEXT_SIZE, "no peers are known: %s",
			tracker);
	else if (f->connected == 0)
		snprintf(ret, STALL_TEXT_SIZE,
			"none of the known peers can be reached (%zu to be "
			"tried again): %s",
			f->addresses, tracker);
	else if (f->offering == 0)
		snprintf(ret, STALL_TEXT_SIZE,
			"piece %u has no copies among %u %s", f->missing,
			f->connected, f->connected == 1 ? "peer" : "peers");
	else if (f->choking >= f->offering)
		snprintf(ret, STALL_TEXT_SIZE,
			f->offering == 1
				? "the %u peer that has what we lack chokes us"
				: "all %u peers that have what we lack choke "
				  "us",
			f->offering);
	else if (f->choking + f->limited >= f->offering)
		snprintf(ret, STALL_TEXT_SIZE,
			"the download limit of %" PRIu64 " bytes a second is "
			"used up; %u %s for it",
			f->limit, f->limited,
			f->limited == 1 ? "peer waits" : "peers wait");
	else
		snprintf(ret, STALL_TEXT_SIZE,
			"no answer to the requests made of %u %s", asked,
			asked == 1 ? "peer" : "peers");
	return ret;
}
