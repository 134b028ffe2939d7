#ifndef CLIENT_UI_JSON_EVENTS_H
#define CLIENT_UI_JSON_EVENTS_H

struct event;

/* An event_listener that prints each event as a JSON line on stdout, as
 * tbt-client(1) lays down.  Passkeys in announce URLs are cut out (the path's
 * and query's long tokens become "..."), PROMISES P8.  ctx is not used. */
void json_events_on_event(void *ctx, const struct event *event);

#endif
