#ifndef SHARED_WRITE_ALL_H
#define SHARED_WRITE_ALL_H

#include <stdbool.h>
#include <stddef.h>

/* write(2) until all of it is written.  False: errno says why not. */
bool write_all(int fd, const void *bytes, size_t len);

#endif
