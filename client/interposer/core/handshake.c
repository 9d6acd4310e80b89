/*
 * Opening a connection, for a session that begins or one that comes back: GREETING, HELLO and WELCOME (proto/README.md, "The handshake"). Nothing
 * is believed before the proof. It uses a socket of its own: the connection that the session may still have stays as it is.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"
#include "sha256.h"

#define NONCE_BYTES 32

/* For a busy server that starts an executor first. */
#define OPENING_MILLISECONDS_MAX 60000
#define CONNECT_MILLISECONDS_MAX 5000

/* How often a session whose first connection breaks in the handshake tries another: the server may have begun it. */
#define BROKEN_TRIES_MAX 4

/* How often a server that is full of connections is tried again: those that have not proved their leases come and go within moments. */
#define CROWDED_TRIES_MAX 50
#define CROWDED_PAUSE_NANOSECONDS 20000000

#define CLIENT_VERSION "sluice-interposer/" SLUICE_VERSION

struct proof {
    const char *role;
    const uint8_t *first_nonce;
    const uint8_t *second_nonce;
    const uint8_t *session_id;
};

static void prove(const uint8_t secret[32], struct proof proof, uint8_t digest[SLUICE_SHA256_BYTES]) {
    struct hmac mac;
    hmac_start(&mac, secret, 32);
    hmac_add(&mac, proof.role, strlen(proof.role));
    hmac_add(&mac, proof.first_nonce, NONCE_BYTES);
    hmac_add(&mac, proof.second_nonce, NONCE_BYTES);
    hmac_add(&mac, proof.session_id, SESSION_ID_BYTES);
    hmac_finish(&mac, digest);
}

static bool fill_random(uint8_t *into, size_t byte_count) {
    while (byte_count > 0) {
        ssize_t got = syscall(SYS_getrandom, into, byte_count, 0);
        if (got < 0 && errno != EINTR) return false;
        if (got > 0) {
            into += got;
            byte_count -= (size_t)got;
        }
    }
    return true;
}

/* One handshake under way. */
struct greeting_frame {
    uint32_t kind;
    uint8_t bytes[SLUICE_HANDSHAKE_FRAME_BYTES_MAX];
    size_t body_bytes;
};

static uint32_t read_exactly(int file, uint8_t *into, size_t byte_count, int64_t deadline) {
    while (byte_count > 0) {
        int64_t left = deadline - now_milliseconds();
        struct pollfd readable = {.fd = file, .events = POLLIN};
        int ready = left <= 0 ? 0 : poll(&readable, 1, (int)left);
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) return SLUICE_ERROR_HANDSHAKE_TIMEOUT;
        ssize_t got = recv(file, into, byte_count, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) return SLUICE_ERROR_CONNECTION_LOST;
        into += got;
        byte_count -= (size_t)got;
    }
    return 0;
}

/* Reads one frame of the handshake. Returns 0 or the wire number of an error. */
static uint32_t read_message(int file, struct greeting_frame *frame, int64_t deadline) {
    uint32_t error = read_exactly(file, frame->bytes, 16, deadline);
    if (error != 0) return error;
    uint32_t byte_count = sluice_get_u32(frame->bytes);
    frame->kind = sluice_get_u32(frame->bytes + 4);
    if (byte_count < 16 || byte_count % 8 != 0 || byte_count > SLUICE_HANDSHAKE_FRAME_BYTES_MAX) return SLUICE_ERROR_PROTOCOL_ERROR;
    frame->body_bytes = byte_count - 16;
    return read_exactly(file, frame->bytes + 16, frame->body_bytes, deadline);
}

static uint32_t refused(const uint8_t *body, size_t byte_count, struct complaint *complaint) {
    struct sluice_refusal refusal;
    if (sluice_decode_refusal(body, byte_count, &refusal) != 0) return SLUICE_ERROR_PROTOCOL_ERROR;
    snprintf(complaint->words, sizeof complaint->words, "the server refuses the session [%s]: %.*s", sluice_error_code(refusal.code),
             (int)refusal.message.byte_count, (const char *)refusal.message.data);
    return refusal.code == 0 ? SLUICE_ERROR_PROTOCOL_ERROR : refusal.code;
}

static bool write_exactly(int file, const uint8_t *data, size_t byte_count) {
    while (byte_count > 0) {
        ssize_t sent = send(file, data, byte_count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) return false;
        if (sent > 0) {
            data += sent;
            byte_count -= (size_t)sent;
        }
    }
    return true;
}

/* HELLO, and behind it at once the frame `first`, unless that is NULL. */
static bool send_hello(int file, const struct sluice_hello *hello, const struct kept_frame *first) {
    uint8_t bytes[SLUICE_HANDSHAKE_FRAME_BYTES_MAX + 256];
    size_t length = 16 + sluice_size_hello(hello);
    sluice_put_u32(bytes, (uint32_t)length);
    sluice_put_u32(bytes + 4, SLUICE_FRAME_HELLO);
    sluice_put_u32(bytes + 8, 0);
    sluice_put_u32(bytes + 12, 0);
    sluice_encode_hello(bytes + 16, hello);
    if (first != NULL && length + first->head_bytes <= sizeof bytes) {
        memcpy(bytes + length, first + 1, first->head_bytes);
        length += first->head_bytes;
    }
    return write_exactly(file, bytes, length);
}

static uint32_t check_greeting(const struct sluice_greeting *greeting) {
    const struct sluice_bytes *print = &greeting->fingerprint;
    bool same = print->byte_count == strlen(SLUICE_FINGERPRINT) && memcmp(print->data, SLUICE_FINGERPRINT, print->byte_count) == 0;
    if (greeting->protocol_version != SLUICE_PROTOCOL_VERSION || !same) {
        report("the server [%.*s] speaks protocol [%u] with the table of calls [%.*s], and this client [%s] speaks [%d] with [%s]. "
               "Install the same version of Sluice on both ends.",
               (int)greeting->server_version.byte_count, (const char *)greeting->server_version.data, greeting->protocol_version,
               (int)print->byte_count, (const char *)print->data, CLIENT_VERSION, SLUICE_PROTOCOL_VERSION, SLUICE_FINGERPRINT);
        return SLUICE_ERROR_FINGERPRINT_MISMATCH;
    }
    return greeting->nonce.byte_count == NONCE_BYTES ? 0 : SLUICE_ERROR_PROTOCOL_ERROR;
}

static uint32_t shake_hands(struct connection *connection, const struct kept_frame *first, int64_t deadline, struct link *link,
                            struct complaint *complaint) {
    struct greeting_frame frame;
    struct lease_key *lease = &connection->lease;
    uint8_t server_nonce[NONCE_BYTES], nonce[NONCE_BYTES], proof[SLUICE_SHA256_BYTES];
    uint32_t error = read_message(link->file, &frame, deadline);
    if (error != 0) return error;
    if (frame.kind == SLUICE_FRAME_REFUSAL) return refused(frame.bytes + 16, frame.body_bytes, complaint);
    struct sluice_greeting greeting;
    bool is_greeting = frame.kind == SLUICE_FRAME_GREETING && sluice_decode_greeting(frame.bytes + 16, frame.body_bytes, &greeting) == 0;
    if (!is_greeting) return SLUICE_ERROR_PROTOCOL_ERROR;
    error = check_greeting(&greeting);
    if (error == SLUICE_ERROR_FINGERPRINT_MISMATCH) complaint->words[0] = '\0';
    if (error != 0) return error;
    memcpy(server_nonce, greeting.nonce.data, NONCE_BYTES);
    if (!fill_random(nonce, sizeof nonce)) return SLUICE_ERROR_INTERNAL;
    prove(lease->secret, (struct proof){"client", server_nonce, nonce, lease->session_id}, proof);
    struct sluice_hello hello = {
        .protocol_version = SLUICE_PROTOCOL_VERSION,
        .fingerprint = {SLUICE_FINGERPRINT, strlen(SLUICE_FINGERPRINT)},
        .client_version = {CLIENT_VERSION, strlen(CLIENT_VERSION)},
        .lease_id = {lease->id, strlen(lease->id)},
        .session_id = {lease->session_id, SESSION_ID_BYTES},
        .nonce = {nonce, NONCE_BYTES},
        .proof = {proof, sizeof proof},
        .resume_ms = connection->resume_ms,
        .begun = connection->has_begun,
        .received = atomic_load(&connection->counted),
    };
    if (!send_hello(link->file, &hello, first)) return SLUICE_ERROR_CONNECTION_LOST;
    lease->may_have_begun = true;
    error = read_message(link->file, &frame, deadline);
    if (error != 0) return error;
    if (frame.kind == SLUICE_FRAME_REFUSAL) {
        if (!connection->has_begun) lease->may_have_begun = false;
        return refused(frame.bytes + 16, frame.body_bytes, complaint);
    }
    struct sluice_welcome welcome;
    bool is_welcome = frame.kind == SLUICE_FRAME_WELCOME && sluice_decode_welcome(frame.bytes + 16, frame.body_bytes, &welcome) == 0;
    if (!is_welcome) return SLUICE_ERROR_PROTOCOL_ERROR;
    prove(lease->secret, (struct proof){"server", nonce, server_nonce, lease->session_id}, proof);
    if (welcome.proof.byte_count != sizeof proof || !digests_equal(welcome.proof.data, proof)) return SLUICE_ERROR_SERVER_IDENTITY;
    link->executed = welcome.executed;
    link->received = welcome.received;
    link->devices = welcome.devices;
    link->resume_ms = welcome.resume_ms;
    return 0;
}

uint32_t link_open(struct connection *connection, const struct kept_frame *first, int64_t deadline, struct link *link, struct complaint *complaint) {
    static const char unsaid[] = "?";
    int64_t left = deadline - now_milliseconds();
    int wait = left < 1 ? 1 : left < CONNECT_MILLISECONDS_MAX ? (int)left : CONNECT_MILLISECONDS_MAX;
    complaint->words[0] = '\0';
    link->file = endpoint_connect(&connection->endpoint, wait, &link->is_tcp, complaint);
    if (link->file < 0) return SLUICE_ERROR_SERVER_UNREACHABLE;
    memcpy(complaint->words, unsaid, sizeof unsaid);
    uint32_t error = shake_hands(connection, first, deadline, link, complaint);
    if (error == 0) return 0;
    if (strcmp(complaint->words, unsaid) == 0)
        snprintf(complaint->words, sizeof complaint->words, "the session with the server fails [%s].", sluice_error_code(error));
    close(link->file);
    link->file = -1;
    return error;
}

/* The first call, which attaches the first device that every lease has. Nobody else has the connection yet. */
static struct kept_frame *expect_first_device(struct connection *connection) {
    struct sluice_attach_call call = {.device = 0};
    kept_forget(&connection->kept, UINT64_MAX);
    connection->kept.forgotten = 0;
    uint8_t *at = kept_begin(&connection->kept);
    if (at == NULL) return NULL;
    size_t call_bytes = 8 + sluice_size_attach_call(&call);
    sluice_put_u32(at, (uint32_t)(16 + call_bytes));
    sluice_put_u32(at + 4, SLUICE_FRAME_CALLS);
    sluice_put_u32(at + 8, 1);
    sluice_put_u32(at + 12, 0);
    sluice_put_u32(at + 16, SLUICE_OP_ATTACH);
    sluice_put_u32(at + 20, (uint32_t)call_bytes);
    sluice_encode_attach_call(at + 24, &call);
    memset(&connection->attached, 0, sizeof connection->attached);
    connection->sequence = connection->attached.sequence = 1;
    connection->awaited = &connection->attached;
    return kept_end(&connection->kept, 16 + call_bytes, 1);
}

/* How often a failure of the first connection is met by another try at once. */
static int tries_of(uint32_t error, const struct connection *connection) {
    if (error == SLUICE_ERROR_TOO_MANY_CONNECTIONS) return CROWDED_TRIES_MAX;
    return error == SLUICE_ERROR_CONNECTION_LOST && connection->resume_ms > 0 ? BROKEN_TRIES_MAX : 1;
}

uint32_t session_open(struct connection *connection, struct lease_key *lease, uint32_t *devices, struct complaint *complaint) {
    struct kept_frame *first = expect_first_device(connection);
    struct link link;
    if (first == NULL || (!lease->has_session_id && !fill_random(lease->session_id, SESSION_ID_BYTES))) return SLUICE_ERROR_INTERNAL;
    lease->has_session_id = true;
    connection->lease = *lease;
    uint32_t error = 0;
    for (int tries = 1;; tries++) {
        /* Behind a HELLO that may not be the session's first nothing is sent before WELCOME. */
        bool is_first = !connection->lease.may_have_begun;
        error = link_open(connection, is_first ? first : NULL, now_milliseconds() + OPENING_MILLISECONDS_MAX, &link, complaint);
        /* A session that ends with its connection is not to be met again. */
        if (connection->resume_ms == 0 && error != 0) lease->has_session_id = connection->lease.may_have_begun = false;
        if (error == 0) {
            connection_take_link(connection, &link);
            if (!is_first) kept_send(connection);
            *devices = link.devices;
            break;
        }
        if (tries >= tries_of(error, connection)) break;
        struct timespec pause = {.tv_nsec = CROWDED_PAUSE_NANOSECONDS};
        nanosleep(&pause, NULL);
    }
    lease->may_have_begun = connection->lease.may_have_begun;
    return error;
}
