#ifndef SHARED_CORES_H
#define SHARED_CORES_H

/* The processor's cores that this process may run on, whatever part of their
 * time is ours; at least 1. */
unsigned cores_count(void);

#endif
