#ifndef SHARED_CLOCK_H
#define SHARED_CLOCK_H

#include <stdint.h>

/* The only place that asks for the time.  Logic gets it as a number. */

/* Milliseconds and microseconds since some moment in the past; never backwards.
 */
uint64_t clock_ms(void);
uint64_t clock_us(void);

/* Seconds since the epoch, with a fraction. */
double clock_wall(void);

#endif
