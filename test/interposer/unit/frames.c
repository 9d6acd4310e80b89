/*
 * The frame reader against a peer that sends anything: whole answers, answers of others, mutated and truncated frames. Whatever comes, a
 * wait ends, nothing outside its memory is touched (the sanitizer looks), and a good answer has the bytes that were sent. Nothing counts that
 * comes behind what broke the format, for whoever waits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../client/interposer/core/connection.h"

static unsigned random_state;

static unsigned roll(unsigned below) {
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 8) % below;
}

static size_t put_answer(uint8_t *at, uint32_t sequence, uint32_t status, const uint8_t *body, size_t bytes) {
    sluice_put_u32(at, (uint32_t)(16 + bytes));
    sluice_put_u32(at + 4, status);
    sluice_put_u32(at + 8, sequence);
    sluice_put_u32(at + 12, 0);
    memcpy(at + 16, body, bytes);
    return 16 + bytes;
}

static size_t put_header(uint8_t *at, size_t bytes, uint32_t kind, uint32_t count) {
    sluice_put_u32(at, (uint32_t)bytes);
    sluice_put_u32(at + 4, kind);
    sluice_put_u32(at + 8, count);
    sluice_put_u32(at + 12, 0);
    return bytes;
}

/* A body of one `bytes` field. */
static size_t put_data(uint8_t *at, const uint8_t *data, size_t bytes) {
    sluice_put_u32(at, (uint32_t)bytes);
    sluice_put_u32(at + 4, 0);
    memset(at + 8, 0, sluice_pad8(bytes));
    memcpy(at + 8, data, bytes);
    return 8 + sluice_pad8(bytes);
}

static void open_on(struct connection *connection, int file) {
    struct timeval second = {.tv_sec = 1, .tv_usec = 0};
    memset(connection, 0, sizeof *connection);
    connection->file = file;
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    pthread_mutex_init(&connection->send_lock, NULL);
    pthread_mutex_init(&connection->receive_lock, NULL);
    pthread_cond_init(&connection->received, NULL);
    connection->input = malloc(65536);
}

/* Two calls, of which the answers are awaited. */
static void ask(struct connection *connection, struct answer *first, struct answer *second) {
    struct sluice_memory_info_call call = {.device = 0};
    for (int i = 0; i < 2; i++) {
        uint8_t *at = call_begin(connection, SLUICE_OP_MEMORY_INFO, sluice_size_memory_info_call(&call));
        sluice_encode_memory_info_call(at, &call);
        call_end_expecting(connection, i == 0 ? first : second, NULL);
    }
}

static void close_on(struct connection *connection, const int *ends) {
    kept_close(&connection->kept);
    free(connection->input);
    close(ends[0]);
    close(ends[1]);
}

/* A good answer behind a frame of no kind, which is in the reader's memory already. */
static int play_behind_fault(void) {
    uint8_t stream[256];
    uint8_t body[16] = {0};
    int ends[2];
    struct connection connection;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
    open_on(&connection, ends[0]);
    struct answer first = {.into = NULL}, second = {.into = NULL};
    ask(&connection, &first, &second);
    size_t bytes = put_header(stream, 16, 99, 0);
    size_t at = 16 + put_answer(stream + bytes + 16, 2, 0, body, sizeof body);
    bytes += put_header(stream + bytes, at, SLUICE_FRAME_ANSWERS, 1);
    if (write(ends[1], stream, bytes) != (ssize_t)bytes) return 1;
    bool is_refused = answer_wait(&connection, &first).code != 0 && answer_wait(&connection, &second).code != 0;
    if (!is_refused) printf("an answer counts behind a frame of no kind\n");
    close_on(&connection, ends);
    return is_refused ? 0 : 1;
}

static int play(unsigned seed) {
    static uint8_t stream[1 << 16], data[4096], body[8192], into[4096];
    int ends[2], code = 0;
    struct connection connection;
    random_state = seed;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
    open_on(&connection, ends[0]);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)roll(256);
    struct answer first = {.into = into, .into_bytes = roll(4000) + 1}, second = {.into = NULL};
    ask(&connection, &first, &second);
    size_t bytes = 0;
    if (roll(2) == 0) bytes += put_header(stream, 16 + put_data(stream + 16, data, 24), SLUICE_FRAME_OUTPUT, 0);
    uint8_t *frame = stream + bytes;
    size_t at = 16, length = put_data(body, data, first.into_bytes);
    bool swaps = roll(2) == 0;
    if (swaps) at += put_answer(frame + at, 2, 0, data, 16);
    at += put_answer(frame + at, 1, 0, body, length);
    if (!swaps) at += put_answer(frame + at, 2, 0, data, 16);
    bytes += put_header(frame, at, SLUICE_FRAME_ANSWERS, 2);
    bool is_whole = roll(4) == 0;
    if (!is_whole) {
        for (unsigned times = roll(4) + 1; times > 0; times--) {
            size_t where = roll(3) == 0 ? roll((unsigned)bytes) : roll(48);
            stream[where] = roll(2) == 0 ? (uint8_t)roll(256) : (uint8_t)(stream[where] ^ 1u << roll(8));
        }
        if (roll(3) == 0) bytes = roll((unsigned)bytes);
    }
    if (write(ends[1], stream, bytes) != (ssize_t)bytes) return 1;
    shutdown(ends[1], SHUT_WR);
    struct failure one = answer_wait(&connection, &first), two = answer_wait(&connection, &second);
    if (is_whole) {
        bool is_good = one.code == 0 && two.code == 0 && memcmp(into, data, first.into_bytes) == 0 && second.body_bytes == 16;
        if (!is_good || memcmp(second.body, data, 16) != 0) code = 1;
    }
    if (code != 0) printf("seed %u: a good answer is lost\n", seed);
    answer_release(&first);
    answer_release(&second);
    close_on(&connection, ends);
    return code;
}

int main(int argc, char **argv) {
    unsigned first = argc > 1 ? (unsigned)atoi(argv[1]) : 1, seeds = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
    if (freopen("/dev/null", "w", stderr) == NULL) return 1;
    for (unsigned seed = first; seed < first + seeds; seed++)
        if (play(seed) != 0) return 1;
    if (play_behind_fault() != 0) return 1;
    printf("\nok\n");
    return 0;
}
