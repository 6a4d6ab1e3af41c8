/* The load generator: members of one room in one thread, over TLS 1.3, as cheap as OpenSSL lets them be.
 *
 * Takes KEY=VALUE arguments (see read_arguments), prints one JSON object. The processor time of the server is read on
 * its own clock at the borders of each phase, in ns, with all its threads. A message is in flight until its sender has
 * it back as a delivery; every delivery counts for throughput and latency.
 */

#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { SCRATCH = 1 << 21, READ = 1 << 16, EVENTS = 512, AT_ONCE = 32, PATIENCE = 30 };

uint8_t pin[32];
size_t payload_bytes = 600, envelope_bytes = 541;

static const struct protocol *protocol;
static struct sockaddr_in server = {.sin_family = AF_INET};
static int connections = 100, senders, talkers, window_size = 1, epoll, timer, sending, under_way;
static int reached[LIVE + 1];
static double rate, warm_seconds = 0.5, seconds = 2, idle_seconds;
static const char *members_file;
static pid_t pid;
static SSL_CTX *context;
static struct conn *conns;
static struct room *rooms;
static uint8_t *scratch, payload[1 << 16];
static uint64_t sent, arrived, window_opens, window_closes, now_ns;

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("error: the load generator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static void reach(struct conn *c, enum state state) {
    c->state = state;
    reached[state]++;
    if (state == LOGGED_IN || state == LIVE) under_way--;
}

void logged_in(struct conn *c) { reach(c, LOGGED_IN); }
void live(struct conn *c) { reach(c, LIVE); }

static void watch_output(struct conn *c, int wanted) {
    if (wanted == c->watches_output) return;
    c->watches_output = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void push(struct conn *c) {
    while (c->out_len) {
        int count = SSL_write(c->ssl, c->out + c->out_start, (int)c->out_len);
        if (count <= 0) {
            int why = SSL_get_error(c->ssl, count);
            if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) fail("connection %d is lost", c->index);
            watch_output(c, 1);
            return;
        }
        c->out_start += (size_t)count, c->out_len -= (size_t)count;
    }
    c->out_start = 0;
    watch_output(c, 0);
}

void queue(struct conn *c, const void *data, size_t size) {
    size_t needed = c->out_start + c->out_len + size;
    if (needed > c->out_room) c->out = realloc(c->out, c->out_room = needed * 2);
    memcpy(c->out + c->out_start + c->out_len, data, size);
    c->out_len += size;
}

static void send_message(struct conn *c) {
    uint64_t at = clock_ns(CLOCK_MONOTONIC);
    if (c->room) write_envelope(c, payload);
    uint8_t *stamp = payload + ENVELOPE_HEADER;
    memcpy(stamp, &at, 8);
    memcpy(stamp + 8, &c->index, 4);
    memcpy(stamp + 12, &c->seq, 4);
    c->seq++, c->outstanding++, sent++;
    protocol->send(c, payload, payload_bytes);
}

void delivered(struct conn *c, const uint8_t *message) {
    uint64_t at;
    int sender;
    memcpy(&at, message + ENVELOPE_HEADER, 8);
    memcpy(&sender, message + ENVELOPE_HEADER + 8, 4);
    arrived++;
    if (sender == c->index) c->outstanding--;
    if (now_ns >= window_opens && now_ns < window_closes) count_latency(now_ns - at);
}

static int is_sender(const struct conn *c) {
    int step = senders ? talkers / senders : 1;
    return c->index < talkers && c->index % step == 0 && c->index / step < senders;
}

static void fill_window(struct conn *c) {
    while (sending && c->outstanding < window_size) send_message(c);
}

/* Reads all there is. Half a frame at the end is kept for the next time. */
static void pull(struct conn *c) {
    size_t size = c->in_len;
    memcpy(scratch, c->in, size);
    for (;;) {
        int count = SSL_read(c->ssl, scratch + size, READ);
        if (count <= 0) {
            int why = SSL_get_error(c->ssl, count);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                fail("the server closed connection %d", c->index);
            break;
        }
        now_ns = clock_ns(CLOCK_MONOTONIC);
        size += (size_t)count;
        size_t taken = protocol->take(c, scratch, size);
        memmove(scratch, scratch + taken, size -= taken);
        if (size + READ > SCRATCH) fail("a frame that never ends");
    }
    if (size > c->in_room) c->in = realloc(c->in, c->in_room = size);
    memcpy(c->in, scratch, c->in_len = size);
}

static void shake(struct conn *c) {
    int done = SSL_do_handshake(c->ssl);
    if (done == 1) {
        watch_output(c, 0);
        c->state = LOGGING_IN;
        protocol->log_in(c);
        push(c);
        return;
    }
    int why = SSL_get_error(c->ssl, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
        fail("the handshake of connection %d failed", c->index);
    watch_output(c, why == SSL_ERROR_WANT_WRITE);
}

/* What nats-server says before TLS is one line. */
static void skip_greeting(struct conn *c) {
    char byte = 0;
    while (byte != '\n')
        if (recv(c->fd, &byte, 1, 0) != 1) return;
    c->state = SHAKING;
}

static void handle(struct conn *c, uint32_t events) {
    if (c->state == GREETED) skip_greeting(c);
    if (c->state == SHAKING) {
        shake(c);
        if (c->state == SHAKING) return;
        events |= EPOLLIN;
    }
    if (c->state == GREETED) return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) pull(c);
    if (window_size && is_sender(c)) fill_window(c);
    if (c->out_len) push(c);
}

/* Round robin, by a clock that does not wait for answers. */
static void send_paced(void) {
    static int next;
    uint64_t times;
    if (read(timer, &times, sizeof times) != sizeof times || !sending) return;
    while (times--) {
        struct conn *c = &conns[next++ % senders * (talkers / senders)];
        send_message(c);
        push(c);
    }
}

static void turn(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL) send_paced();
        else handle(events[i].data.ptr, events[i].events);
    }
}

static void turn_for(double how_long) {
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(how_long * 1e9), at;
    while ((at = clock_ns(CLOCK_MONOTONIC)) < end) turn((int)((end - at) / 1000000) + 1);
}

static void open_connection(struct conn *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server))
        fail("connection %d cannot be made: %s", c->index, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    c->state = protocol->greets_in_clear ? GREETED : SHAKING;
    handle(c, 0);
}

/* Brings all connections to a state, a few at a time, as no server is to be judged by a crowd at its door. */
static void bring_all(enum state target, void (*begin)(struct conn *)) {
    for (int i = 0; i < connections; i++) {
        while (under_way >= AT_ONCE) turn(1000);
        under_way++;
        begin(&conns[i]);
    }
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(PATIENCE * 1e9);
    while (reached[target] < connections && clock_ns(CLOCK_MONOTONIC) < end) turn(1000);
    if (reached[target] < connections) fail("%d of %d connections %s", reached[target], connections,
                                         target == LIVE ? "follow" : "are logged in");
}

static void begin_following(struct conn *c) {
    c->state = FOLLOWING;
    protocol->follow(c);
    push(c);
}

static void make_context(const char *alpn) {
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384"); /* One cipher for all servers. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1); /* One recv for several records. */
    SSL_CTX_set_default_read_buffer_len(context, READ);
    uint8_t wire[32] = {alpn ? (uint8_t)strlen(alpn) : 0};
    if (alpn) memcpy(wire + 1, alpn, wire[0]);
    if (alpn && SSL_CTX_set_alpn_protos(context, wire, wire[0] + 1u)) fail("no ALPN");
}

static void read_hex(FILE *file, uint8_t out[32]) {
    for (int i = 0; i < 32; i++) {
        unsigned byte;
        if (fscanf(file, "%2x", &byte) != 1) fail("the file of members is cut");
        out[i] = (uint8_t)byte;
    }
    if (fgetc(file) == EOF) fail("the file of members is cut");
}

/* The count of rooms; a line a room: id, head, transcript, n, s; a line a member: seed, room. The first room talks. */
static void read_members(void) {
    FILE *file = fopen(members_file, "r");
    int count, room;
    if (!file || fscanf(file, "%d\n", &count) != 1) fail("no file of members");
    rooms = calloc((size_t)count, sizeof *rooms);
    for (int i = 0; i < count; i++) {
        read_hex(file, rooms[i].id), read_hex(file, rooms[i].head), read_hex(file, rooms[i].transcript);
        if (fscanf(file, "%u %lu\n", &rooms[i].n, &rooms[i].s) != 2) fail("the file of members is cut");
    }
    talkers = 0;
    for (int i = 0; i < connections; i++) {
        read_hex(file, conns[i].seed);
        if (fscanf(file, "%d\n", &room) != 1 || room >= count) fail("the file of members is cut");
        conns[i].room = &rooms[room];
        conns[i].s = rooms[room].s;
        memcpy(conns[i].transcript, rooms[room].transcript, 32);
        talkers += room == 0;
    }
    fclose(file);
}

static void choose_protocol(const char *name) {
    for (protocol = protocols; protocol->name && strcmp(protocol->name, name);) protocol++;
}

static void read_arguments(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        char *value = strchr(arguments[i], '=');
        if (!value) fail("KEY=VALUE, not %s", arguments[i]);
        *value++ = 0;
        const char *key = arguments[i];
        if (!strcmp(key, "protocol")) choose_protocol(value);
        else if (!strcmp(key, "port")) server.sin_port = htons((uint16_t)atoi(value));
        else if (!strcmp(key, "pid")) pid = atoi(value);
        else if (!strcmp(key, "connections")) connections = atoi(value);
        else if (!strcmp(key, "senders")) senders = atoi(value);
        else if (!strcmp(key, "window")) window_size = atoi(value); /* For each sender; 0 where rate counts. */
        else if (!strcmp(key, "rate")) rate = atof(value);          /* Messages a second in all. */
        else if (!strcmp(key, "payload")) payload_bytes = (size_t)atoi(value);
        else if (!strcmp(key, "envelope")) envelope_bytes = (size_t)atoi(value);
        else if (!strcmp(key, "warm")) warm_seconds = atof(value);
        else if (!strcmp(key, "seconds")) seconds = atof(value);
        else if (!strcmp(key, "idle")) idle_seconds = atof(value);
        else if (!strcmp(key, "members")) members_file = value;
        else if (!strcmp(key, "pin")) for (int b = 0; b < 32; b++) sscanf(value + 2 * b, "%2hhx", &pin[b]);
        else fail("no such key: %s", key);
    }
    if (!protocol || !protocol->name || !pid || !server.sin_port || payload_bytes > sizeof payload)
        fail("protocol=, pid= and port= are needed");
}

static void open_window(void) {
    uint64_t at = clock_ns(CLOCK_MONOTONIC);
    sending = 1;
    if (rate > 0) {
        uint64_t gap = (uint64_t)(1e9 / rate);
        struct itimerspec pace = {{0, (long)gap}, {0, (long)gap}};
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
        timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        timerfd_settime(timer, 0, &pace, NULL);
        epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    }
    window_opens = at + (uint64_t)(warm_seconds * 1e9);
    window_closes = UINT64_MAX;
    for (int i = 0; i < talkers; i++)
        if (window_size && is_sender(&conns[i])) fill_window(&conns[i]), push(&conns[i]);
    turn_for(warm_seconds);
}

/* What is under way arrives, or is lost. */
static void drain(void) {
    sending = 0;
    for (int quiet = 0; arrived < sent * (uint64_t)talkers && quiet < 50; quiet++) {
        uint64_t before = arrived;
        turn(100);
        if (arrived != before) quiet = 0;
    }
}

static void run_load(void) {
    open_window();
    uint64_t cpu = process_cpu(pid), own = clock_ns(CLOCK_PROCESS_CPUTIME_ID), began = clock_ns(CLOCK_MONOTONIC);
    forget_latencies(), window_opens = 0;
    turn_for(seconds);
    cpu = process_cpu(pid) - cpu, own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own;
    double took = (double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9;
    window_closes = 0;
    drain();
    uint64_t counted = latencies_counted();
    printf(",\"seconds\":%.4f,\"deliveries\":%lu,\"cpu_us\":%.4f,\"server_share\":%.3f,\"own_share\":%.3f,"
           "\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"sent\":%lu,\"lost\":%ld",
           took, counted, (double)cpu / 1e3 / (double)(counted ? counted : 1), (double)cpu / 1e9 / took,
           (double)own / 1e9 / took, percentile_ms(0.5), percentile_ms(0.99), sent,
           (long)(sent * (uint64_t)talkers - arrived));
}

int main(int count, char **arguments) {
    struct rlimit files;
    read_arguments(count, arguments);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
    conns = calloc((size_t)connections, sizeof *conns);
    scratch = malloc(SCRATCH);
    talkers = connections;
    for (int i = 0; i < connections; i++) conns[i].index = i;
    if (members_file) read_members();
    make_context(protocol->alpn);
    epoll = epoll_create1(0);

    long kb = process_kb(pid);
    uint64_t cpu = process_cpu(pid);
    bring_all(LOGGED_IN, open_connection);
    turn_for(0.1);
    double login_us = (double)(process_cpu(pid) - cpu) / 1e3 / connections;
    cpu = process_cpu(pid);
    bring_all(LIVE, begin_following);
    turn_for(0.3 + idle_seconds);
    double follow_us = (double)(process_cpu(pid) - cpu) / 1e3 / connections;
    printf("{\"connections\":%d,\"login_us\":%.1f,\"follow_us\":%.1f,\"kb_each\":%.2f", connections, login_us,
           follow_us, (double)(process_kb(pid) - kb) / connections);
    if (senders) run_load();
    printf(",\"rss_kb\":%ld}\n", process_kb(pid));
    return 0;
}
