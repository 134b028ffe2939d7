#include "shared/announce.h"

const char *announce_event_name(enum announce_event event)
{
	switch (event) {
	case ANNOUNCE_NONE:
		return "";
	case ANNOUNCE_COMPLETED:
		return "completed";
	case ANNOUNCE_STARTED:
		return "started";
	case ANNOUNCE_STOPPED:
		return "stopped";
	}
	return "";
}
