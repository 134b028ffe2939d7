#ifndef TRACKER_PAGE_METRICS_H
#define TRACKER_PAGE_METRICS_H

struct buffer;
struct tracker_figures;

/* The page at `/metrics`: Prometheus' text format, version 0.0.4. */
#define PAGE_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void page_metrics_write(const struct tracker_figures *f, struct buffer *out);

#endif
