/*
 * Speed of the interposer, beside plain C over TCP on the same machine in the same run: issue cost and throughput of launches,
 * answered calls, allocation, copies each way, and the time from the start to the first answer. Prints one `name value unit` per line.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../driver/driver.h"

enum { MiB = 1 << 20, COPY = 16 * MiB };

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e6 + (double)at.tv_nsec * 1e-3;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The other end of the plain connection: 64 bytes back for 64, and whole copies taken or given. */
static void *serve(void *argument) {
    int file = accept(*(int *)argument, NULL, NULL), on = 1;
    static char bytes[COPY];
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (;;) {
        char head[64];
        if (recv(file, head, sizeof head, MSG_WAITALL) != sizeof head) return NULL;
        if (head[0] == 'w' && recv(file, bytes, COPY, MSG_WAITALL) != COPY) return NULL;
        if (head[0] == 'r') {
            for (size_t done = 0; done < COPY;) done += (size_t)send(file, bytes + done, COPY - done, 0);
            continue;
        }
        if (send(file, head, sizeof head, 0) != sizeof head) return NULL;
    }
}

static int plain_connection(void) {
    static int listener;
    pthread_t thread;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int on = 1, file = socket(AF_INET, SOCK_STREAM, 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    getsockname(listener, (struct sockaddr *)&address, &size);
    pthread_create(&thread, NULL, serve, &listener);
    EXPECT(connect(file, (struct sockaddr *)&address, size) == 0);
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return file;
}

static double plain(int file, char what, char *bytes) {
    char head[64] = {what};
    double began = now();
    EXPECT(send(file, head, sizeof head, what == 'w' ? MSG_MORE : 0) == sizeof head);
    if (what == 'w')
        for (size_t done = 0; done < COPY;) done += (size_t)send(file, bytes + done, COPY - done, 0);
    size_t wanted = what == 'r' ? COPY : sizeof head;
    EXPECT(recv(file, what == 'r' ? bytes : head, wanted, MSG_WAITALL) == (ssize_t)wanted);
    return now() - began;
}

static char *bytes;
static CUdeviceptr d;
static CUfunction add_one;

static double answered(void) {
    double began = now();
    CHECK(cuMemcpyDtoH_v2(bytes, d, 8));
    return now() - began;
}

static double copy_in(void) {
    double began = now();
    CHECK(cuMemcpyHtoD_v2(d, bytes, COPY));
    CHECK(cuCtxSynchronize());
    return now() - began;
}

static double copy_out(void) {
    double began = now();
    CHECK(cuMemcpyDtoH_v2(bytes, d, COPY));
    return now() - began;
}

#define MEDIAN(name, times, expression)                                                                                                 \
    double name;                                                                                                                        \
    do {                                                                                                                                \
        static double seen[times];                                                                                                      \
        for (int i = 0; i < (times); i++) seen[i] = (expression);                                                                       \
        qsort(seen, times, sizeof *seen, by_value);                                                                                     \
        name = seen[(times) / 2];                                                                                                       \
    } while (0)

int main(void) {
    CUmodule module;
    CUdeviceptr other;
    int count = 16, launches = 500000, pairs = 100000;
    double began = now();
    start();
    double opened = now() - began;
    add_one = load(PTX_ADD_ONE, "add_one", &module);
    bytes = malloc(COPY);
    memset(bytes, 1, COPY);
    CHECK(cuMemAlloc_v2(&d, COPY));
    copy_in();
    void *params[] = {&d, &count};
    int file = plain_connection();
    plain(file, 'w', bytes);
    MEDIAN(ping, 3000, plain(file, 'p', bytes));
    MEDIAN(answer, 3000, answered());
    MEDIAN(plain_in, 15, plain(file, 'w', bytes));
    MEDIAN(in, 15, copy_in());
    MEDIAN(plain_out, 15, plain(file, 'r', bytes));
    MEDIAN(out, 15, copy_out());
    began = now();
    for (int i = 0; i < 600; i++) CHECK(launch(add_one, 1, 16, NULL, params));
    double issue = (now() - began) / 600;
    CHECK(cuCtxSynchronize());
    began = now();
    for (int i = 0; i < launches; i++) CHECK(launch(add_one, 1, 16, NULL, params));
    CHECK(cuCtxSynchronize());
    double through = (now() - began) / launches;
    began = now();
    for (int i = 0; i < pairs; i++) {
        CHECK(cuMemAlloc_v2(&other, 4096));
        CHECK(cuMemFree_v2(other));
    }
    double pair = (now() - began) / pairs;
    CHECK(cuCtxSynchronize());
    printf("open %.0f us\nping %.2f us\nanswered %.2f us\nanswered/ping %.2f x\n", opened, ping, answer, answer / ping);
    printf("launch-issue %.3f us\nlaunches %.2f M/s\nmalloc+free %.3f us\n", issue, 1 / through, pair);
    printf("copy-in %.2f GB/s\ncopy-in/tcp %.2f x\ncopy-out %.2f GB/s\ncopy-out/tcp %.2f x\n", COPY / in / 1e3, plain_in / in,
           COPY / out / 1e3, plain_out / out);
    return 0;
}
