#ifndef TRACKER_PAGE_STATS_H
#define TRACKER_PAGE_STATS_H

struct buffer;
struct tracker_figures;

/* The page at `/stats`: one JSON object and a newline. */
void page_stats_write(const struct tracker_figures *f, struct buffer *out);

#endif
