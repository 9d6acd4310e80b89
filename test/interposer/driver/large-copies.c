/*
 * Copies from a byte to several MiB, at any place, by several threads at once: from pageable and from page-locked memory, waiting and not. The
 * source is changed as soon as a copy returns, and a child that is forked meanwhile disturbs nobody.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { THREADS = 4, TURNS = 40, SIZE = 5 << 20 };

static CUcontext context;

struct random {
    uint64_t state;
};

static size_t below(struct random *random, size_t bound) {
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(random->state >> 33) % bound;
}

static void fill_pattern(uint8_t *bytes, size_t count, struct random *random) {
    uint64_t word = random->state | 1;
    for (size_t i = 0; i < count; i++) {
        word = word * 2862933555777941757u + 3037000493u;
        bytes[i] = (uint8_t)(word >> 56);
    }
}

/* A size that is often small, sometimes most of the buffer. */
static size_t size_of_copy(struct random *random) {
    return 1 + below(random, below(random, 3) == 0 ? SIZE : 700000);
}

static void *work(void *argument) {
    struct random random = {(uint64_t)(size_t)argument};
    uint8_t *expected = calloc(1, SIZE), *pageable = malloc(SIZE);
    void *locked;
    CUdeviceptr d;
    CUstream stream;
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuMemAllocHost_v2(&locked, SIZE));
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&d, SIZE));
    CHECK(cuMemsetD32Async(d, 0, SIZE / 4, stream));
    for (int turn = 0; turn < TURNS; turn++) {
        size_t bytes = size_of_copy(&random), at = below(&random, SIZE - bytes + 1);
        uint8_t *host = below(&random, 2) == 0 ? pageable : locked;
        if (below(&random, 2) == 0) {
            fill_pattern(expected + at, bytes, &random);
            memcpy(host, expected + at, bytes);
            CHECK(cuMemcpyHtoDAsync_v2(d + at, host, bytes, stream));
            if (host == locked) CHECK(cuStreamSynchronize(stream));
            memset(host, 0xee, bytes);
        } else {
            CHECK(cuMemcpyDtoHAsync_v2(host, d + at, bytes, stream));
            CHECK(cuStreamSynchronize(stream));
            EXPECT(memcmp(host, expected + at, bytes) == 0);
        }
    }
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuMemcpyDtoH_v2(pageable, d, SIZE));
    EXPECT(memcmp(pageable, expected, SIZE) == 0);
    CHECK(cuMemFree_v2(d));
    CHECK(cuMemFreeHost(locked));
    CHECK(cuStreamDestroy_v2(stream));
    free(pageable);
    free(expected);
    return NULL;
}

/* Rows of 300 KiB out of rows of 400 KiB and back. */
static void copy_rows(void) {
    enum { WIDTH = 300 << 10, PITCH = 400 << 10, ROWS = 7 };
    struct random random = {77};
    uint8_t *source = malloc(PITCH * ROWS), *back = calloc(1, WIDTH * ROWS);
    CUdeviceptr d;
    fill_pattern(source, PITCH * ROWS, &random);
    CHECK(cuMemAlloc_v2(&d, PITCH * ROWS));
    CUDA_MEMCPY2D there = {.src_type = CU_MEMORY_HOST, .src_host = source, .src_pitch = PITCH, .dst_type = CU_MEMORY_DEVICE, .dst_device = d,
                           .dst_pitch = PITCH, .width_bytes = WIDTH, .height = ROWS};
    CHECK(cuMemcpy2D_v2(&there));
    CUDA_MEMCPY2D here = {.src_type = CU_MEMORY_DEVICE, .src_device = d, .src_pitch = PITCH, .dst_type = CU_MEMORY_HOST, .dst_host = back,
                          .dst_pitch = WIDTH, .width_bytes = WIDTH, .height = ROWS};
    CHECK(cuMemcpy2D_v2(&here));
    for (size_t row = 0; row < ROWS; row++) EXPECT(memcmp(back + row * WIDTH, source + row * PITCH, WIDTH) == 0);
    CHECK(cuMemFree_v2(d));
    free(source);
    free(back);
}

int main(void) {
    pthread_t threads[THREADS];
    context = start();
    copy_rows();
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        /* It ends with its parent, however that ends. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) pause();
        _exit(0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    copy_rows();
    int status;
    EXPECT(kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child);
    printf("ok\n");
    return 0;
}
