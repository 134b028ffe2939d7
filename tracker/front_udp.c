#include "tracker/front_udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/announce_udp.h"
#include "shared/clock.h"
#include "shared/reader.h"
#include "shared/writer.h"
#include "tracker/announce.h"
#include "tracker/connection_id.h"
#include "tracker/passkeys.h"
#include "tracker/udp_answers.h"

enum {
	/* Packets read and answered at a time: a call to the kernel costs as
	 * much as several announces. */
	BATCH = UDP_ANSWERS_MAX,

	/* So many threads take turns at one socket, and the kernel shares out
	 * to the sockets.  As long as one thread keeps up it does all, with
	 * large batches and nobody else awake: two that wait for packets get
	 * twice as many wakings, for half as many packets each. */
	TURN_THREADS = 4,

	/* Full batches, one after the other, that say that it does not. */
	BUSY_BATCHES = 32,

	/* The longest question is a scrape of ANNOUNCE_UDP_MAX_SCRAPE. */
	QUESTION_MAX = 1536,

	/* Questions that wait in the kernel while we answer others. */
	SOCKET_BUFFER = 4 << 20,

	/* A stop wakes the threads; this is for systems where it does not. */
	LOOK_UP_S = 1,
};

/* One packet, with all that the kernel wants to know of it. */
struct packet {
	struct sockaddr_storage from;
	uint8_t question[QUESTION_MAX];

	/* Which of our addresses it was sent to: the answer comes from that. */
	_Alignas(struct cmsghdr)
		uint8_t to[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp_socket {
	int fd;
	pthread_mutex_t turn;  /* to receive */
	unsigned full_batches; /* one after the other; guarded by `turn` */
};

struct udp_thread {
	struct front_udp *front;
	struct udp_socket *socket;
	pthread_t id;
	bool running;
	struct iovec parts[BATCH];
	struct mmsghdr in[BATCH];
	struct packet packets[BATCH];
	struct udp_answers answers;
};

struct front_udp {
	const struct announce_rules *rules;
	struct connection_ids ids;
	bool any_address; /* listening on all that the machine has */
	atomic_bool stopping;
	unsigned socket_count;
	struct udp_socket *sockets;
	unsigned thread_count;
	struct udp_thread threads[];
};

/* --- One question --- */

struct question {
	struct endpoint from;
	struct announce_udp_head head;
	uint64_t now_s;
};

/* The passkey in the URL that the announce is for, which is put together in
 * `w`'s memory (BEP 41); empty when there is none, or nobody asks. */
static struct span passkey_of(
	const struct announce_rules *rules, struct reader *r, struct writer *w)
{
	struct span none = {NULL, 0};

	if (!rules->passkeys || !announce_udp_parse_url_data(r, w))
		return none;
	return passkey_of_path(
		(struct span){w->start, writer_len(w)}, "/announce");
}

static void answer_announce(const struct announce_rules *rules,
	const struct question *q, struct reader *r, struct writer *w)
{
	struct announce a = {.peer = q->from};
	struct announce_reply reply;
	uint8_t url[ANNOUNCE_UDP_MAX_PACKET];
	struct writer url_writer = writer_of(url, sizeof(url));
	struct error err;

	if (!announce_udp_parse_announce(r, &a, &err)) {
		announce_count_bad(rules);
		announce_udp_write_error(w, q->head.transaction, err.text);
		return;
	}
	announce_handle(
		rules, &a, passkey_of(rules, r, &url_writer), q->now_s, &reply);
	if (reply.failure[0] != '\0')
		announce_udp_write_error(w, q->head.transaction, reply.failure);
	else
		announce_udp_write_reply(w, q->head.transaction, &a, &reply);
}

/* Scrape all that was asked for: zeros for what is not tracked, since an entry
 * has no name here, only its place. */
static bool scrape(const struct announce_rules *rules,
	const struct info_hash *hashes, size_t count, struct scrape_entry *ret,
	struct error *err)
{
	struct scrape_entry known[ANNOUNCE_UDP_MAX_SCRAPE];
	size_t known_count;
	size_t next = 0;

	/* A scrape has no options, hence no passkey. */
	if (!announce_handle_scrape(rules, hashes, count,
		    (struct span){NULL, 0}, known, &known_count, err))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (next < known_count &&
			info_hash_equal(&known[next].info_hash, &hashes[i]))
			ret[i] = known[next++];
		else
			ret[i] = (struct scrape_entry){.seeders = 0};
	}
	return true;
}

static void answer_scrape(const struct announce_rules *rules,
	const struct question *q, struct reader *r, struct writer *w)
{
	struct info_hash hashes[ANNOUNCE_UDP_MAX_SCRAPE];
	struct scrape_entry entries[ANNOUNCE_UDP_MAX_SCRAPE];
	size_t count;
	struct error err;

	if (!announce_udp_parse_scrape(
		    r, hashes, ANNOUNCE_UDP_MAX_SCRAPE, &count, &err) ||
		!scrape(rules, hashes, count, entries, &err))
		announce_udp_write_error(w, q->head.transaction, err.text);
	else
		announce_udp_write_scraped(
			w, q->head.transaction, entries, count);
}

/* Whether it is too short for what it asks. */
static bool is_torn(const struct question *q, size_t len)
{
	size_t shortest = q->head.action == ANNOUNCE_UDP_SCRAPE
		? ANNOUNCE_UDP_CONNECT_SIZE + INFO_HASH_SIZE
		: ANNOUNCE_UDP_ANNOUNCE_SIZE;

	return len < shortest;
}

/* The answer's length; 0: none. */
static size_t answer(const struct front_udp *f, const struct question *q,
	struct reader *r, size_t question_len, uint8_t *ret)
{
	size_t most = endpoint_is_v4(&q->from) ? ANNOUNCE_UDP_MAX_PACKET
					       : ANNOUNCE_UDP_MAX_PACKET_V6;
	bool proven = q->head.action != ANNOUNCE_UDP_CONNECT &&
		connection_id_valid(
			&f->ids, &q->from, q->now_s, q->head.connection_id);

	if ((!proven || is_torn(q, question_len)) && question_len < most)
		most = question_len;

	struct writer w = writer_of(ret, most);
	switch (q->head.action) {
	case ANNOUNCE_UDP_CONNECT:
		announce_udp_write_connected(&w, q->head.transaction,
			connection_id_make(&f->ids, &q->from, q->now_s));
		break;
	case ANNOUNCE_UDP_ANNOUNCE:
	case ANNOUNCE_UDP_SCRAPE:
		if (!proven)
			announce_udp_write_error(&w, q->head.transaction,
				"Connection ID mismatch");
		else if (q->head.action == ANNOUNCE_UDP_ANNOUNCE)
			answer_announce(f->rules, q, r, &w);
		else
			answer_scrape(f->rules, q, r, &w);
		break;
	case ANNOUNCE_UDP_ERROR:
		return 0;
	}
	return w.bad ? 0 : writer_len(&w);
}

/* --- Batches --- */

static void prepare_batch(struct udp_thread *t)
{
	udp_answers_init(&t->answers, t->socket->fd);
	for (unsigned i = 0; i < BATCH; i++) {
		struct packet *p = &t->packets[i];
		struct msghdr *m = &t->in[i].msg_hdr;

		t->parts[i].iov_base = p->question;
		t->parts[i].iov_len = sizeof(p->question);
		m->msg_iov = &t->parts[i];
		m->msg_iovlen = 1;
		m->msg_name = &p->from;
		m->msg_namelen = sizeof(p->from);
		if (t->front->any_address) {
			m->msg_control = p->to;
			m->msg_controllen = sizeof(p->to);
		}
	}
}

/* Answer `count` packets that were read. */
static void answer_batch(struct udp_thread *t, unsigned count)
{
	struct question q = {.now_s = clock_ms() / 1000};

	udp_answers_clear(&t->answers);
	for (unsigned i = 0; i < count; i++) {
		struct packet *p = &t->packets[i];
		struct msghdr *m = &t->in[i].msg_hdr;
		size_t len = t->in[i].msg_len;
		struct reader r = reader_of(p->question, len);
		size_t answer_len = 0;

		if (announce_udp_parse_head(&r, &q.head) &&
			endpoint_from_sockaddr(
				(struct sockaddr *)&p->from, &q.from))
			answer_len = answer(t->front, &q, &r, len,
				udp_answers_next(&t->answers));
		if (answer_len > 0)
			udp_answers_add(&t->answers, answer_len, m);
		/* The kernel shortened them to what it wrote. */
		m->msg_namelen = sizeof(p->from);
		if (t->front->any_address)
			m->msg_controllen = sizeof(p->to);
	}
	udp_answers_send(&t->answers, t->socket->fd);
}

static bool stopping(const struct udp_thread *t)
{
	return atomic_load_explicit(&t->front->stopping, memory_order_relaxed);
}

/* Receive and answer until there is enough for two; then another thread
 * receives.  The turn is kept while answering: each handing over wakes
 * somebody.
 */
static void take_turn(struct udp_thread *t)
{
	struct udp_socket *s = t->socket;
	unsigned waiting = 0; /* packets to answer */
	bool busy = false;

	pthread_mutex_lock(&s->turn);
	while (!busy && !stopping(t)) {
		if (waiting > 0)
			answer_batch(t, waiting);
		int n = recvmmsg(s->fd, t->in, BATCH, MSG_WAITFORONE, NULL);
		waiting = n > 0 ? (unsigned)n : 0;
		s->full_batches = n == BATCH ? s->full_batches + 1 : 0;
		busy = s->full_batches >= BUSY_BATCHES;
	}
	pthread_mutex_unlock(&s->turn);
	if (waiting > 0)
		answer_batch(t, waiting);
}

static void *run(void *arg)
{
	struct udp_thread *t = arg;

	while (!stopping(t))
		take_turn(t);
	return NULL;
}

/* --- Life --- */

static bool set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool bind_socket(int fd, const struct front_udp *f,
	const struct endpoint *at, bool shared)
{
	struct timeval look_up = {.tv_sec = LOOK_UP_S};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, &sa);
	bool v6 = sa.ss_family == AF_INET6;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look_up,
		    sizeof(look_up)) != 0 ||
		(v6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
		(f->any_address &&
			!(v6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
			     : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1))))
		return false;
	/* Less than wanted is fine. */
	(void)set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	(void)set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);

	/* The first socket is bound before it shares its port, so another
	 * program (or another tracker) there is noticed. */
	if (shared && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return false;
	if (bind(fd, (struct sockaddr *)&sa, len) != 0)
		return false;
	return shared || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/* `at`: where the socket shall be; afterwards, where it is. */
static bool open_socket(
	struct front_udp *f, unsigned i, struct endpoint *at, struct error *err)
{
	char text[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct udp_socket *s = &f->sockets[i];

	endpoint_print(at, text);
	s->fd = socket(endpoint_is_v4(at) ? AF_INET : AF_INET6,
		SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || !bind_socket(s->fd, f, at, i > 0) ||
		getsockname(s->fd, (struct sockaddr *)&sa, &len) != 0 ||
		!endpoint_from_sockaddr((struct sockaddr *)&sa, at))
		return error_set_errno(err, "%s: cannot listen (UDP)", text);
	return true;
}

static bool is_any(const struct endpoint *e)
{
	static const uint8_t zeros[16];
	size_t skip = endpoint_is_v4(e) ? 12 : 0;

	return memcmp(e->ip + skip, zeros, sizeof(zeros) - skip) == 0;
}

static bool start_threads(struct front_udp *f, struct error *err)
{
	for (unsigned i = 0; i < f->thread_count; i++) {
		struct udp_thread *t = &f->threads[i];

		prepare_batch(t);
		errno = pthread_create(&t->id, NULL, run, t);
		if (errno != 0)
			return error_set_errno(err, "cannot start a thread");
		t->running = true;
	}
	return true;
}

static bool open_sockets(
	struct front_udp *f, struct endpoint *at, struct error *err)
{
	for (unsigned i = 0; i < f->socket_count; i++) {
		if (!open_socket(f, i, at, err))
			return false;
	}
	return true;
}

/* Without threads and sockets yet. */
static struct front_udp *create(const struct front_udp_options *o)
{
	unsigned sockets = (o->threads + TURN_THREADS - 1) / TURN_THREADS;
	struct front_udp *f =
		calloc(1, sizeof(*f) + o->threads * sizeof(struct udp_thread));

	if (!f)
		return NULL;
	f->sockets = calloc(sockets, sizeof(*f->sockets));
	if (!f->sockets) {
		free(f);
		return NULL;
	}
	f->rules = o->rules;
	f->ids = connection_ids_random();
	f->any_address = is_any(&o->listen);
	f->socket_count = sockets;
	for (unsigned i = 0; i < sockets; i++) {
		f->sockets[i].fd = -1;
		pthread_mutex_init(&f->sockets[i].turn, NULL);
	}
	f->thread_count = o->threads;
	for (unsigned i = 0; i < o->threads; i++) {
		f->threads[i].front = f;
		f->threads[i].socket = &f->sockets[i % sockets];
	}
	return f;
}

struct front_udp *front_udp_start(const struct front_udp_options *o,
	struct endpoint *ret_bound, struct error *err)
{
	struct front_udp *f = create(o);
	struct endpoint at = o->listen;

	if (!f) {
		error_set(err, "UDP: out of memory");
		return NULL;
	}
	/* All sockets before the first thread: a packet for a socket that is
	 * not there yet cannot go to another for the time being. */
	if (!open_sockets(f, &at, err) || !start_threads(f, err)) {
		front_udp_stop(f);
		return NULL;
	}
	*ret_bound = at;
	return f;
}

void front_udp_stop(struct front_udp *f)
{
	if (!f)
		return;
	atomic_store(&f->stopping, true);
	/* Says ENOTCONN, but wakes who waits there on Linux. */
	for (unsigned i = 0; i < f->socket_count; i++)
		(void)shutdown(f->sockets[i].fd, SHUT_RD);
	for (unsigned i = 0; i < f->thread_count; i++) {
		if (f->threads[i].running)
			pthread_join(f->threads[i].id, NULL);
	}
	for (unsigned i = 0; i < f->socket_count; i++) {
		if (f->sockets[i].fd >= 0)
			close(f->sockets[i].fd);
		pthread_mutex_destroy(&f->sockets[i].turn);
	}
	free(f->sockets);
	free(f);
}
