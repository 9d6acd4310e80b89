/*
 * A CUDA program that measures its own calls, for the case `interposer` of the benchmarks: it knows nothing of Sluice and runs
 * under a lease's environment. `measure nothing` ends at once, `measure first` after its first answered call; `measure serve` prints `ready` and
 * then answers each line `WHAT ROUNDS` of stdin with the nanoseconds of every round, in one line.
 */
#include <time.h>

#include "../../test/interposer/driver/driver.h"

enum { COPY_BYTES = 16 << 20, BURST = 600, ROUNDS_MAX = 1 << 20 };

static uint8_t *bytes, *pinned;
static CUdeviceptr device;
static CUfunction add_one;
static CUstream stream;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void answered(void) { CHECK(cuMemcpyDtoH_v2(bytes, device, 64)); }

static void some_launches(int count) {
    int elements = 16;
    void *params[] = {&device, &elements};
    for (int i = 0; i < count; i++) CHECK(launch(add_one, 1, 16, NULL, params));
}

static void copy_in(void) {
    CHECK(cuMemcpyHtoD_v2(device, bytes, COPY_BYTES));
    CHECK(cuCtxSynchronize());
}

static void copy_in_async(void) {
    CHECK(cuMemcpyHtoDAsync_v2(device, pinned, COPY_BYTES, stream));
    CHECK(cuStreamSynchronize(stream));
}

static void copy_out(void) { CHECK(cuMemcpyDtoH_v2(bytes, device, COPY_BYTES)); }

static void copy_out_async(void) {
    CHECK(cuMemcpyDtoHAsync_v2(pinned, device, COPY_BYTES, stream));
    CHECK(cuStreamSynchronize(stream));
}

/* Issued without a wait between them; what is measured ends before anything is awaited. */
static double issue_ns(void) {
    uint64_t began = now_ns();
    some_launches(BURST);
    double each = (double)(now_ns() - began) / BURST;
    CHECK(cuCtxSynchronize());
    return each;
}

static double through_ns(void) {
    enum { LAUNCHES = 200000 };
    uint64_t began = now_ns();
    some_launches(LAUNCHES);
    CHECK(cuCtxSynchronize());
    return (double)(now_ns() - began) / LAUNCHES;
}

static double pair_ns(void) {
    enum { PAIRS = 5000 };
    CUdeviceptr other;
    uint64_t began = now_ns();
    for (int i = 0; i < PAIRS; i++) {
        CHECK(cuMemAlloc_v2(&other, 4096));
        CHECK(cuMemFree_v2(other));
    }
    double each = (double)(now_ns() - began) / PAIRS;
    CHECK(cuCtxSynchronize());
    return each;
}

static double timed(void (*work)(void)) {
    uint64_t began = now_ns();
    work();
    return (double)(now_ns() - began);
}

static double round_ns(const char *what) {
    static const struct {
        const char *name;
        void (*work)(void);
    } works[] = {{"answered", answered}, {"in", copy_in}, {"inAsync", copy_in_async}, {"out", copy_out}, {"outAsync", copy_out_async}};
    if (strcmp(what, "issue") == 0) return issue_ns();
    if (strcmp(what, "through") == 0) return through_ns();
    if (strcmp(what, "pair") == 0) return pair_ns();
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (strcmp(what, works[i].name) == 0) return timed(works[i].work);
    fprintf(stderr, "There is nothing [%s] to measure.\n", what);
    exit(2);
}

static int serve(void) {
    static double seen[ROUNDS_MAX];
    char what[32];
    int rounds;
    CUmodule module;
    start();
    add_one = load(PTX_ADD_ONE, "add_one", &module);
    CHECK(cuStreamCreate(&stream, 1));
    CHECK(cuMemAlloc_v2(&device, COPY_BYTES));
    CHECK(cuMemAllocHost_v2((void **)&pinned, COPY_BYTES));
    bytes = malloc(COPY_BYTES);
    memset(bytes, 1, COPY_BYTES);
    memset(pinned, 1, COPY_BYTES);
    copy_in();
    printf("ready\n");
    fflush(stdout);
    while (scanf("%31s %d", what, &rounds) == 2 && rounds > 0 && rounds <= ROUNDS_MAX) {
        for (int i = 0; i < rounds; i++) seen[i] = round_ns(what);
        for (int i = 0; i < rounds; i++) printf("%.1f ", seen[i]);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}

int main(int count, char **words) {
    size_t free_bytes, total_bytes;
    const char *mode = count > 1 ? words[1] : "";
    if (strcmp(mode, "nothing") == 0) return 0;
    if (strcmp(mode, "serve") == 0) return serve();
    start();
    CHECK(cuMemAlloc_v2(&device, 4096));
    CHECK(cuMemsetD8_v2(device, 7, 64));
    uint8_t seen[64];
    CHECK(cuMemcpyDtoH_v2(seen, device, sizeof seen));
    EXPECT(seen[63] == 7);
    CHECK(cuMemGetInfo_v2(&free_bytes, &total_bytes));
    return 0;
}
