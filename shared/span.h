#ifndef SHARED_SPAN_H
#define SHARED_SPAN_H

#include <stddef.h>
#include <stdint.h>

/* Bytes inside somebody else's memory; never NUL-terminated. */
struct span {
	const uint8_t *at;
	size_t len;
};

#endif
