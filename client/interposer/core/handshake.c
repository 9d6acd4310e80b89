/* Opening a connection: GREETING, HELLO and WELCOME (proto/README.md, "The handshake"). Nothing is believed before the proof. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "report.h"
#include "sha256.h"

#define NONCE_BYTES 32
#define SESSION_ID_BYTES 16
#define INPUT_BYTES 65536

/* A program that has just ended may have left work behind, which its session finishes first, or a session that waits for it: the next
 * program waits a little longer than that. */
#define BUSY_MILLISECONDS_MAX 35000
#define BUSY_STEP_MILLISECONDS 20

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
        ssize_t got = getrandom(into, byte_count, 0);
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

static uint32_t refused(const uint8_t *body, size_t byte_count, bool is_patient) {
    struct sluice_refusal refusal;
    if (sluice_decode_refusal(body, byte_count, &refusal) != 0) return SLUICE_ERROR_PROTOCOL_ERROR;
    if (is_patient && refusal.code == SLUICE_ERROR_SESSION_BUSY) return refusal.code;
    report("the server refuses the session [%s]: %.*s", sluice_error_code(refusal.code), (int)refusal.message.byte_count,
           (const char *)refusal.message.data);
    return refusal.code;
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

static bool send_hello(struct connection *connection, const struct sluice_hello *hello) {
    uint8_t frame[SLUICE_HANDSHAKE_FRAME_BYTES_MAX];
    size_t byte_count = 16 + sluice_size_hello(hello);
    sluice_put_u32(frame, (uint32_t)byte_count);
    sluice_put_u32(frame + 4, SLUICE_FRAME_HELLO);
    sluice_put_u32(frame + 8, 0);
    sluice_put_u32(frame + 12, 0);
    sluice_encode_hello(frame + 16, hello);
    return write_exactly(connection->file, frame, byte_count);
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

/* Returns 0, or the wire number of an error; `*reported` tells whether a person has been told already, or need not be. */
static uint32_t shake_hands(struct connection *connection, const struct endpoint *endpoint, uint32_t *devices, bool *reported) {
    bool is_patient = *reported;
    uint8_t frame[SLUICE_HANDSHAKE_FRAME_BYTES_MAX], random[NONCE_BYTES + SESSION_ID_BYTES];
    uint8_t server_nonce[NONCE_BYTES], proof[SLUICE_SHA256_BYTES];
    const uint8_t *nonce = random, *session_id = random + NONCE_BYTES;
    size_t body_bytes = 0;
    uint32_t kind = read_message(connection, frame, &body_bytes);
    *reported = true;
    if (kind == SLUICE_FRAME_REFUSAL) return refused(frame + 16, body_bytes, is_patient);
    struct sluice_greeting greeting;
    *reported = false;
    if (kind != SLUICE_FRAME_GREETING || sluice_decode_greeting(frame + 16, body_bytes, &greeting) != 0) return SLUICE_ERROR_PROTOCOL_ERROR;
    uint32_t error = check_greeting(&greeting);
    *reported = error == SLUICE_ERROR_FINGERPRINT_MISMATCH;
    if (error != 0) return error;
    memcpy(server_nonce, greeting.nonce.data, NONCE_BYTES);
    if (!fill_random(random, sizeof random)) return SLUICE_ERROR_INTERNAL;
    prove(endpoint->secret, (struct proof){"client", server_nonce, nonce, session_id}, proof);
    struct sluice_hello hello = {
        .protocol_version = SLUICE_PROTOCOL_VERSION,
        .fingerprint = {SLUICE_FINGERPRINT, strlen(SLUICE_FINGERPRINT)},
        .client_version = {CLIENT_VERSION, strlen(CLIENT_VERSION)},
        .lease_id = {endpoint->lease_id, strlen(endpoint->lease_id)},
        .session_id = {session_id, SESSION_ID_BYTES},
        .nonce = {nonce, NONCE_BYTES},
        .proof = {proof, sizeof proof},
    };
    if (!send_hello(connection, &hello)) return SLUICE_ERROR_CONNECTION_LOST;
    kind = read_message(connection, frame, &body_bytes);
    *reported = kind == SLUICE_FRAME_REFUSAL;
    if (kind == SLUICE_FRAME_REFUSAL) return refused(frame + 16, body_bytes, is_patient);
    struct sluice_welcome welcome;
    if (kind != SLUICE_FRAME_WELCOME || sluice_decode_welcome(frame + 16, body_bytes, &welcome) != 0) return SLUICE_ERROR_PROTOCOL_ERROR;
    prove(endpoint->secret, (struct proof){"server", nonce, server_nonce, session_id}, proof);
    if (welcome.proof.byte_count != sizeof proof || !digests_equal(welcome.proof.data, proof)) return SLUICE_ERROR_SERVER_IDENTITY;
    *devices = welcome.devices;
    return 0;
}

/* One attempt. `is_patient`: nothing is said about a busy lease, since another attempt follows. */
static uint32_t open_once(struct connection *connection, const struct endpoint *endpoint, uint32_t *devices, bool is_patient) {
    connection->input_start = connection->input_end = 0;
    atomic_store(&connection->failed_code, 0);
    connection->file = endpoint_connect(endpoint, &connection->is_tcp);
    if (connection->file < 0) return SLUICE_ERROR_SERVER_UNREACHABLE;
    bool reported = is_patient;
    uint32_t error = shake_hands(connection, endpoint, devices, &reported);
    if (error == 0) return 0;
    if (!reported) report("the session with the server fails [%s].", sluice_error_code(error));
    close(connection->file);
    connection->file = -1;
    return error;
}

uint32_t connection_open(struct connection *connection, const struct endpoint *endpoint, uint32_t *devices) {
    memset(connection, 0, sizeof *connection);
    pthread_mutex_init(&connection->send_lock, NULL);
    pthread_mutex_init(&connection->receive_lock, NULL);
    pthread_cond_init(&connection->received, NULL);
    connection->batch = malloc(SLUICE_BATCH_BYTES + 2 * SLUICE_PARAM_BYTES_MAX);
    connection->input = malloc(INPUT_BYTES);
    connection->batch_bytes = 16;
    uint32_t error = connection->batch == NULL || connection->input == NULL ? SLUICE_ERROR_INTERNAL : SLUICE_ERROR_SESSION_BUSY;
    for (int waited = 0; error == SLUICE_ERROR_SESSION_BUSY; waited += BUSY_STEP_MILLISECONDS) {
        bool is_patient = waited < BUSY_MILLISECONDS_MAX;
        error = open_once(connection, endpoint, devices, is_patient);
        if (!is_patient) break;
        struct timespec step = {.tv_nsec = BUSY_STEP_MILLISECONDS * 1000000L};
        if (error == SLUICE_ERROR_SESSION_BUSY) nanosleep(&step, NULL);
    }
    if (error == 0) return 0;
    free(connection->batch);
    free(connection->input);
    return error;
}
