/* Opening a connection: GREETING, HELLO and WELCOME (proto/README.md, "The handshake"). Nothing is believed before the proof. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"
#include "sha256.h"

#define NONCE_BYTES 32
#define SESSION_ID_BYTES 16

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

/* Reads one frame of the handshake into `frame`. Returns its kind, 0 when the connection broke or the frame is malformed. */
static uint32_t read_message(struct connection *connection, uint8_t frame[SLUICE_HANDSHAKE_FRAME_BYTES_MAX], size_t *body_bytes) {
    if (!receive_exactly(connection, frame, 16)) return 0;
    uint32_t byte_count = sluice_get_u32(frame);
    uint32_t kind = sluice_get_u32(frame + 4);
    if (byte_count < 16 || byte_count % 8 != 0 || byte_count > SLUICE_HANDSHAKE_FRAME_BYTES_MAX) return 0;
    *body_bytes = byte_count - 16;
    return receive_exactly(connection, frame + 16, *body_bytes) ? kind : 0;
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

/* A frame's header; returns where its payload goes. */
static uint8_t *put_header(uint8_t *frame, uint32_t kind, size_t payload_bytes, uint32_t calls) {
    sluice_put_u32(frame, (uint32_t)(16 + payload_bytes));
    sluice_put_u32(frame + 4, kind);
    sluice_put_u32(frame + 8, calls);
    sluice_put_u32(frame + 12, 0);
    return frame + 16;
}

/* HELLO, and behind it at once the call that attaches the first device, which every lease has: it need not wait for the WELCOME. */
static bool send_hello(struct connection *connection, const struct sluice_hello *hello) {
    uint8_t frames[SLUICE_HANDSHAKE_FRAME_BYTES_MAX + 64];
    size_t hello_bytes = sluice_size_hello(hello);
    uint8_t *at = put_header(frames, SLUICE_FRAME_HELLO, hello_bytes, 0);
    sluice_encode_hello(at, hello);
    struct sluice_attach_call call = {.device = 0};
    size_t call_bytes = 8 + sluice_size_attach_call(&call);
    at = put_header(at + hello_bytes, SLUICE_FRAME_CALLS, call_bytes, 1);
    sluice_put_u32(at, SLUICE_OP_ATTACH);
    sluice_put_u32(at + 4, (uint32_t)call_bytes);
    sluice_encode_attach_call(at + 8, &call);
    return write_exactly(connection->file, frames, (size_t)(at - frames) + call_bytes);
}

/* From now on its answer is awaited. Nobody else has the connection yet. */
static void expect_first_device(struct connection *connection) {
    memset(&connection->attached, 0, sizeof connection->attached);
    connection->sequence = connection->attached.sequence = 1;
    connection->awaited = &connection->attached;
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

/* Why there is no message: the connection broke, or what came is none. */
static uint32_t no_message(struct connection *connection) {
    uint32_t code = connection_failure(connection).code;
    return code != 0 ? code : SLUICE_ERROR_PROTOCOL_ERROR;
}

static uint32_t shake_hands(struct connection *connection, const struct lease_key *lease, uint32_t *devices, struct complaint *complaint) {
    uint8_t frame[SLUICE_HANDSHAKE_FRAME_BYTES_MAX], random[NONCE_BYTES + SESSION_ID_BYTES];
    uint8_t server_nonce[NONCE_BYTES], proof[SLUICE_SHA256_BYTES];
    const uint8_t *nonce = random, *session_id = random + NONCE_BYTES;
    size_t body_bytes = 0;
    uint32_t kind = read_message(connection, frame, &body_bytes);
    if (kind == SLUICE_FRAME_REFUSAL) return refused(frame + 16, body_bytes, complaint);
    struct sluice_greeting greeting;
    if (kind != SLUICE_FRAME_GREETING || sluice_decode_greeting(frame + 16, body_bytes, &greeting) != 0) return no_message(connection);
    uint32_t error = check_greeting(&greeting);
    if (error == SLUICE_ERROR_FINGERPRINT_MISMATCH) complaint->words[0] = '\0';
    if (error != 0) return error;
    memcpy(server_nonce, greeting.nonce.data, NONCE_BYTES);
    if (!fill_random(random, sizeof random)) return SLUICE_ERROR_INTERNAL;
    prove(lease->secret, (struct proof){"client", server_nonce, nonce, session_id}, proof);
    struct sluice_hello hello = {
        .protocol_version = SLUICE_PROTOCOL_VERSION,
        .fingerprint = {SLUICE_FINGERPRINT, strlen(SLUICE_FINGERPRINT)},
        .client_version = {CLIENT_VERSION, strlen(CLIENT_VERSION)},
        .lease_id = {lease->id, strlen(lease->id)},
        .session_id = {session_id, SESSION_ID_BYTES},
        .nonce = {nonce, NONCE_BYTES},
        .proof = {proof, sizeof proof},
    };
    if (!send_hello(connection, &hello)) return SLUICE_ERROR_CONNECTION_LOST;
    kind = read_message(connection, frame, &body_bytes);
    if (kind == SLUICE_FRAME_REFUSAL) return refused(frame + 16, body_bytes, complaint);
    struct sluice_welcome welcome;
    if (kind != SLUICE_FRAME_WELCOME || sluice_decode_welcome(frame + 16, body_bytes, &welcome) != 0) return no_message(connection);
    prove(lease->secret, (struct proof){"server", nonce, server_nonce, session_id}, proof);
    if (welcome.proof.byte_count != sizeof proof || !digests_equal(welcome.proof.data, proof)) return SLUICE_ERROR_SERVER_IDENTITY;
    *devices = welcome.devices;
    expect_first_device(connection);
    return 0;
}

static uint32_t try_session(struct connection *connection, const struct endpoint *endpoint, const struct lease_key *lease, uint32_t *devices,
                            struct complaint *complaint) {
    static const char unsaid[] = "?";
    connection->input_start = connection->input_end = 0;
    connection->is_behind_data = false;
    connection->waking_bytes = 1;
    atomic_store(&connection->failed_code, 0);
    complaint->words[0] = '\0';
    connection->file = endpoint_connect(endpoint, &connection->is_tcp, complaint);
    if (connection->file < 0) return SLUICE_ERROR_SERVER_UNREACHABLE;
    memcpy(complaint->words, unsaid, sizeof unsaid);
    uint32_t error = shake_hands(connection, lease, devices, complaint);
    if (error == 0) return 0;
    if (strcmp(complaint->words, unsaid) == 0)
        snprintf(complaint->words, sizeof complaint->words, "the session with the server fails [%s].", sluice_error_code(error));
    close(connection->file);
    connection->file = -1;
    return error;
}

uint32_t session_open(struct connection *connection, const struct endpoint *endpoint, const struct lease_key *lease, uint32_t *devices,
                      struct complaint *complaint) {
    uint32_t error = try_session(connection, endpoint, lease, devices, complaint);
    for (int tries = 1; error == SLUICE_ERROR_TOO_MANY_CONNECTIONS && tries < CROWDED_TRIES_MAX; tries++) {
        struct timespec pause = {.tv_nsec = CROWDED_PAUSE_NANOSECONDS};
        nanosleep(&pause, NULL);
        error = try_session(connection, endpoint, lease, devices, complaint);
    }
    return error;
}
