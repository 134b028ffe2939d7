#ifndef TRACKER_PAGE_STATUS_H
#define TRACKER_PAGE_STATUS_H

struct buffer;
struct tracker_figures;

/* The page at `/`: HTML for a person, complete in itself. */
void page_status_write(const struct tracker_figures *f, struct buffer *out);

#endif
