/* What the parts of the load generator share: connections (load.c), what is said on them (speak.c), and figures
 * (measure.c). */
#ifndef CHATON_BENCH_LOAD_H
#define CHATON_BENCH_LOAD_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* The stamp of a message stands where an envelope has its ciphertext, which no server can judge. */
#define ENVELOPE_HEADER 205
#define STAMP_BYTES 16

enum state { WAITING, GREETED, SHAKING, LOGGING_IN, LOGGED_IN, FOLLOWING, LIVE };

struct room {
    uint8_t id[32], head[32], transcript[32];
    uint32_t n;
    uint64_t s;
};

struct conn {
    SSL *ssl;
    int fd, index, outstanding, watches_output;
    enum state state;
    const struct room *room;
    uint8_t seed[32];
    uint8_t transcript[32]; /* The last event that this sender knows to be in the room, and its number. */
    uint64_t s, after;
    uint32_t ref, seq;
    uint8_t *in, *out;
    size_t in_len, in_room, out_start, out_len, out_room;
};

struct protocol {
    const char *name, *alpn;
    int greets_in_clear; /* Whether the server says one line before TLS begins. */
    void (*log_in)(struct conn *);
    void (*follow)(struct conn *);
    void (*send)(struct conn *, const uint8_t *payload, size_t size);
    /* Takes whole frames off data; how many bytes these were. */
    size_t (*take)(struct conn *, const uint8_t *data, size_t size);
};

extern const struct protocol protocols[];
extern uint8_t pin[32];
extern size_t payload_bytes, envelope_bytes;

/* What speak.c calls, and measure.c. */
void queue(struct conn *, const void *data, size_t size);
void logged_in(struct conn *);
void live(struct conn *);
void delivered(struct conn *, const uint8_t *payload);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* What load.c calls. Times are in ns. */
void write_envelope(struct conn *, uint8_t *envelope);
uint64_t clock_ns(clockid_t);
uint64_t process_cpu(pid_t); /* With all its threads. */
long process_kb(pid_t);
void count_latency(uint64_t ns);
void forget_latencies(void);
uint64_t latencies_counted(void);
double percentile_ms(double share);

#endif
