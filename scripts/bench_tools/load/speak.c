/* Five protocols, each as far as a member of one room needs it: log in, follow, send, and see what was delivered. */
#include "load.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t be32(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static uint8_t *put_be(uint8_t *at, uint64_t value, int size) {
    for (int i = size; i--; value >>= 8) at[i] = (uint8_t)value;
    return at + size;
}

static uint8_t *put(uint8_t *at, const void *data, size_t size) {
    memcpy(at, data, size);
    return at + size;
}

/* Length-prefixed frames without any meaning: the floor. */

static void bare_log_in(struct conn *c) { logged_in(c); }
static void bare_follow(struct conn *c) { live(c); }

static void bare_send(struct conn *c, const uint8_t *payload, size_t size) {
    uint8_t prefix[4];
    put_be(prefix, size, 4);
    queue(c, prefix, 4);
    queue(c, payload, size);
}

static size_t bare_take(struct conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= 4 && size - at - 4 >= be32(data + at)) {
        delivered(c, data + at + 4);
        at += 4 + be32(data + at);
    }
    return at;
}

/* Chaton/1. Numbers are written in their shortest form, as the relay accepts no other. */

static uint8_t *put_uint(uint8_t *at, uint64_t value) {
    if (value < 0x80) return put_be(at, value, 1);
    int size = value < 0x100 ? 1 : value < 0x10000 ? 2 : value <= 0xffffffff ? 4 : 8;
    *at++ = size == 1 ? 0xcc : size == 2 ? 0xcd : size == 4 ? 0xce : 0xcf;
    return put_be(at, value, size);
}

static uint64_t take_uint(const uint8_t **at) {
    uint8_t first = *(*at)++;
    if (first < 0x80) return first;
    if (first < 0xcc || first > 0xcf) fail("a number was expected in a frame, not %02x", first);
    uint64_t value = 0;
    for (int size = 1 << (first - 0xcc); size--;) value = value << 8 | *(*at)++;
    return value;
}

static uint8_t *put_key(uint8_t *at, const uint8_t key[32]) {
    *at++ = 0xc4, *at++ = 32;
    return put(at, key, 32);
}

static void chaton_say(struct conn *c, uint8_t *frame, const uint8_t *end) {
    put_be(frame, (uint64_t)(end - frame) - 4, 4);
    queue(c, frame, (size_t)(end - frame));
}

static void chaton_answer(struct conn *c, const uint8_t *relay_nonce) {
    uint8_t frame[256], body[32 + 3 + 4 * 32] = "chaton/1 login", nonce[32], identity[32], signature[64];
    size_t size = 32, signed_size = 64;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, c->seed, 32);
    EVP_MD_CTX *signer = EVP_MD_CTX_new();
    RAND_bytes(nonce, 32);
    EVP_PKEY_get_raw_public_key(key, identity, &size);
    uint8_t *at = put(body + 32, "CL\x01", 3);
    put(put(put(put(at, pin, 32), relay_nonce, 32), nonce, 32), identity, 32);
    if (EVP_DigestSignInit(signer, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(signer, signature, &signed_size, body, sizeof body) != 1)
        fail("this OpenSSL cannot sign with Ed25519");
    EVP_MD_CTX_free(signer);
    EVP_PKEY_free(key);
    at = put(frame + 4, "\x92\x01\xc4\x80", 4);
    chaton_say(c, frame, put(put(put(at, identity, 32), nonce, 32), signature, 64));
}

static void chaton_log_in(struct conn *c) { (void)c; /* The relay speaks first. */ }

static void chaton_follow(struct conn *c) {
    uint8_t frame[128];
    uint8_t *at = put_uint(put(frame + 4, "\x94\x07", 2), ++c->ref);
    chaton_say(c, frame, put_uint(put_key(at, c->room->id), c->after));
}

static void chaton_send(struct conn *c, const uint8_t *payload, size_t size) {
    (void)size;
    uint8_t head[64];
    uint8_t *at = put_uint(put(head + 4, "\x94\x09", 2), ++c->ref);
    at = put_key(at, c->room->id);
    *at++ = 0xc5;
    at = put_be(at, envelope_bytes, 2);
    put_be(head, (uint64_t)(at - head) - 4 + envelope_bytes, 4);
    queue(c, head, (size_t)(at - head));
    queue(c, payload, envelope_bytes);
}

/* LoggedIn lists the rooms: where ours stands now is from where it is followed. */
static void chaton_rooms(struct conn *c, const uint8_t *at) {
    unsigned count = *at++;
    if (count >= 0x90 && count < 0xa0) count -= 0x90;
    else fail("a login was answered with more rooms than the benchmark made");
    while (count--) {
        const uint8_t *room = at + 3;
        at = room + 32;
        take_uint(&at);
        uint64_t s = take_uint(&at);
        at++;
        if (!memcmp(room, c->room->id, 32)) c->after = s;
    }
}

static void chaton_refused(const uint8_t *body, size_t size) {
    char words[120];
    size_t kept = 0;
    for (size_t i = 3; i < size && kept < sizeof words - 1; i++)
        if (body[i] >= ' ' && body[i] < 0x7f) words[kept++] = (char)body[i];
    words[kept] = 0;
    fail("the relay refused: %s", words);
}

static void chaton_frame(struct conn *c, const uint8_t *body, size_t size) {
    const uint8_t *at = body + 2;
    switch (body[1]) {
    case 72: /* Event */
        if (!memcmp(body + size - envelope_bytes, "CM\x01", 3)) delivered(c, body + size - envelope_bytes);
        break;
    case 68: /* Accepted */
        take_uint(&at);
        c->s = take_uint(&at);
        memcpy(c->transcript, body + size - 32, 32);
        break;
    case 64: chaton_answer(c, at + 2); break;
    case 65: chaton_rooms(c, at); logged_in(c); break;
    case 73: live(c); break;
    case 66: case 82: chaton_refused(body, size);
    default: break; /* Presence and the end of the parcels. */
    }
}

static size_t chaton_take(struct conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= 4 && size - at - 4 >= be32(data + at)) {
        chaton_frame(c, data + at + 4, be32(data + at));
        at += 4 + be32(data + at);
    }
    return at;
}

/* The outside of a message, as the relay judges it; random where an envelope has secrets. */
void write_envelope(struct conn *c, uint8_t *envelope) {
    const struct room *room = c->room;
    uint8_t *at = put(put(envelope, "CM\x01", 3), room->id, 32);
    RAND_bytes(at, 32);
    at = put_be(put_be(at + 32, 0, 2), room->n, 4);
    at = put_be(put(at, room->head, 32), c->s, 8);
    at = put(at, c->transcript, 32) + 32 + 24;
    put_be(at, envelope_bytes - ENVELOPE_HEADER - 64, 4);
}

/* MQTT 3.1.1 with QoS 0. */

static void mqtt_log_in(struct conn *c) {
    uint8_t frame[64];
    int size = snprintf((char *)frame + 14, 32, "bench%d", c->index);
    put(frame, "\x10\x00\x00\x04MQTT\x04\x02\x00\x00", 12);
    frame[1] = (uint8_t)(12 + size);
    put_be(frame + 12, (uint64_t)size, 2);
    queue(c, frame, 14 + (size_t)size);
}

static void mqtt_follow(struct conn *c) { queue(c, "\x82\x09\x00\x01\x00\x04" "chat\x00", 11); }

static void mqtt_send(struct conn *c, const uint8_t *payload, size_t size) {
    uint8_t head[] = {0x30, (uint8_t)((size + 6) % 128 | 0x80), (uint8_t)((size + 6) / 128), 0, 4, 'c', 'h', 'a', 't'};
    queue(c, head, sizeof head);
    queue(c, payload, size);
}

static size_t mqtt_take(struct conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= 2) {
        size_t length = 0, used = 1;
        for (int shift = 0; at + used < size && shift < 28; shift += 7) {
            length |= (size_t)(data[at + used] & 0x7f) << shift;
            if (!(data[at + used++] & 0x80)) break;
        }
        if (data[at + used - 1] & 0x80 || size - at - used < length) break;
        switch (data[at] >> 4) {
        case 2: logged_in(c); break;
        case 9: live(c); break;
        case 3: delivered(c, data + at + used + length - payload_bytes); break;
        default: break;
        }
        at += used + length;
    }
    return at;
}

/* NATS. */

static void nats_log_in(struct conn *c) {
    static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":true}\r\nPING\r\n";
    queue(c, hello, sizeof hello - 1);
}

static void nats_follow(struct conn *c) { queue(c, "SUB chat 1\r\nPING\r\n", 18); }

static void nats_send(struct conn *c, const uint8_t *payload, size_t size) {
    char head[32];
    queue(c, head, (size_t)snprintf(head, sizeof head, "PUB chat %zu\r\n", size));
    queue(c, payload, size);
    queue(c, "\r\n", 2);
}

static size_t nats_take(struct conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    for (;;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        if (end == NULL) return at;
        size_t line = (size_t)(end - data) + 1 - at;
        if (data[at] == 'M') {
            if (size - at < line + payload_bytes + 2) return at;
            delivered(c, data + at + line);
            line += payload_bytes + 2;
        } else if (data[at] == 'P' && data[at + 1] == 'O') {
            c->state == FOLLOWING ? live(c) : logged_in(c);
        } else if (data[at] == 'P') {
            queue(c, "PONG\r\n", 6);
        } else if (data[at] == '-') {
            fail("nats-server said: %.*s", (int)line, (const char *)data + at);
        }
        at += line;
    }
}

/* WebSocket. The key that masks what a client says is zero, so that masking costs the generator nothing. */

static void ws_log_in(struct conn *c) {
    static const char hello[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    queue(c, hello, sizeof hello - 1);
}

static void ws_send(struct conn *c, const uint8_t *payload, size_t size) {
    uint8_t head[8] = {0x82, 0xfe, (uint8_t)(size >> 8), (uint8_t)size, 0, 0, 0, 0};
    queue(c, head, sizeof head);
    queue(c, payload, size);
}

static size_t ws_take(struct conn *c, const uint8_t *data, size_t size) {
    size_t at = 0;
    if (c->state == LOGGING_IN) {
        const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
        if (end == NULL) return 0;
        at = (size_t)(end - data) + 4;
        logged_in(c);
    }
    while (size - at >= 4) {
        size_t length = data[at + 1] & 0x7f, used = 2;
        if (length == 126) length = (size_t)data[at + 2] << 8 | data[at + 3], used = 4;
        if (size - at - used < length) break;
        if ((data[at] & 0x0f) == 2) delivered(c, data + at + used);
        at += used + length;
    }
    return at;
}

const struct protocol protocols[] = {
    {"bare", "chaton/1", 0, bare_log_in, bare_follow, bare_send, bare_take},
    {"chaton", "chaton/1", 0, chaton_log_in, chaton_follow, chaton_send, chaton_take},
    {"mqtt", NULL, 0, mqtt_log_in, mqtt_follow, mqtt_send, mqtt_take},
    {"nats", NULL, 1, nats_log_in, nats_follow, nats_send, nats_take},
    {"ws", NULL, 0, ws_log_in, bare_follow, ws_send, ws_take},
    {NULL, NULL, 0, NULL, NULL, NULL, NULL},
};
