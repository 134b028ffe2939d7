#ifndef TRACKER_UDP_ANSWERS_H
#define TRACKER_UDP_ANSWERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shared/announce_udp.h"

/* Answers on their way out of a UDP socket, gathered so that few calls to the
 * kernel send many.  Those to one sender that lie side by side and are of one
 * length go as one message, which the kernel cuts up again (UDP_SEGMENT): a
 * client that starts asks for all its torrents in a burst, and then each answer
 * costs a third.
 *
 * Not thread-safe: each thread has its own. */

enum { UDP_ANSWERS_MAX = 64 };

/* One answer, or some that are joined. */
struct udp_message {
	size_t size;     /* of each, but the last one may be shorter */
	size_t len;      /* of all */
	size_t from_len; /* bytes of `control` that say which of our addresses
			  * it comes from; behind them, how it is cut up */
	_Alignas(struct cmsghdr)
		uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
			CMSG_SPACE(sizeof(uint16_t))];
};

struct udp_answers {
	bool joins;     /* the kernel cuts up messages */
	unsigned count; /* of messages */
	size_t used;    /* of `bytes` */
	struct mmsghdr headers[UDP_ANSWERS_MAX];
	struct iovec parts[UDP_ANSWERS_MAX];
	struct udp_message messages[UDP_ANSWERS_MAX];

	/* One behind the other: most are short, and only what is used takes
	 * memory, and room in the processor's cache. */
	uint8_t bytes[UDP_ANSWERS_MAX * ANNOUNCE_UDP_MAX_PACKET];
};

/* None yet; they will go out of `fd`.  Kernels before Linux 4.18 do not cut up
 * messages, and do not refuse to: there, each answer goes as a message. */
void udp_answers_init(struct udp_answers *a, int fd);

/* Begin with none again. */
void udp_answers_clear(struct udp_answers *a);

/* Where to write the next one, up to ANNOUNCE_UDP_MAX_PACKET bytes; there are
 * at most UDP_ANSWERS_MAX. */
uint8_t *udp_answers_next(struct udp_answers *a);

/* It is written, and `len` > 0 bytes long.  It goes to where the question came
 * from, and from where that went to, if its control data says so (they are
 * made fit for the answer); its name must be there until all are sent. */
void udp_answers_add(
	struct udp_answers *a, size_t len, const struct msghdr *question);

/* What cannot be sent is lost, as packets may be: who asked asks again. */
void udp_answers_send(struct udp_answers *a, int fd);

#endif
