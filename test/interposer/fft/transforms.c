/* Transforms of all types, in one to three dimensions, in whatever layout, in place and not, against their definition; by streams and graphs, and with work areas of the
   program's own. */
#include "fft.h"

#define MAX 512

static double complex x[MAX], y[MAX], z[MAX];

static void fill(int count) {
    for (int i = 0; i < count; i++) x[i] = next_number() + I * next_number();
}

/* In single and in double precision, forward and back. */
static void complex_transforms(void) {
    const struct {
        int rank, n[3];
    } shapes[] = {{1, {16}}, {1, {8}}, {1, {15}}, {1, {1}}, {2, {6, 5}}, {3, {4, 3, 5}}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int *n = shapes[s].n, rank = shapes[s].rank;
        int count = 1, single, both;
        for (int i = 0; i < rank; i++) count *= n[i];
        fill(count);
        float complex narrow[MAX], found[MAX];
        for (int i = 0; i < count; i++) narrow[i] = (float complex)x[i];
        void *in = uploaded(narrow, (size_t)count * 8), *out = device_memory((size_t)count * 8), *wide = uploaded(x, (size_t)count * 16);
        if (rank == 1) STATUS(cufftPlan1d(&single, n[0], C2C, 1), OK);
        if (rank == 2) STATUS(cufftPlan2d(&single, n[0], n[1], C2C), OK);
        if (rank == 3) STATUS(cufftPlan3d(&single, n[0], n[1], n[2], C2C), OK);
        STATUS(cufftPlanMany(&both, rank, (int *)n, NULL, 1, 0, NULL, 1, 0, Z2Z, 1), OK);
        STATUS(cufftExecC2C(single, in, out, FORWARD), OK);
        STATUS(cufftExecZ2Z(both, wide, wide, FORWARD), OK);
        transform(x, y, n, rank, FORWARD);
        download(found, out, (size_t)count * 8);
        download(z, wide, (size_t)count * 16);
        for (int i = 0; i < count; i++) EXPECT(is_near(found[i], y[i], 1e-5) && is_near(z[i], y[i], 1e-12));
        STATUS(cufftExecC2C(single, out, in, INVERSE), OK);
        STATUS(cufftXtExec(both, wide, wide, INVERSE), OK);
        download(found, in, (size_t)count * 8);
        download(z, wide, (size_t)count * 16);
        for (int i = 0; i < count; i++) EXPECT(is_near(found[i] / count, x[i], 1e-5) && is_near(z[i] / count, x[i], 1e-12));
        STATUS(cufftDestroy(single), OK);
        STATUS(cufftDestroy(both), OK);
    }
}

/* Even and odd, a batch of them, and in place with rows that have room for the result. */
static void real_transforms(void) {
    for (int n = 6; n <= 7; n++) {
        enum { BATCH = 3 };
        int half = n / 2 + 1, forward, back, plan, sizes[] = {n}, rows[] = {2 * half}, halves[] = {half};
        float real[MAX], again[MAX];
        float complex found[MAX];
        for (int i = 0; i < BATCH * n; i++) real[i] = (float)next_number();
        void *in = uploaded(real, (size_t)(BATCH * n) * 4), *out = device_memory((size_t)(BATCH * half) * 8);
        STATUS(cufftPlan1d(&forward, n, R2C, BATCH), OK);
        STATUS(cufftPlan1d(&back, n, C2R, BATCH), OK);
        STATUS(cufftExecR2C(forward, in, out), OK);
        download(found, out, (size_t)(BATCH * half) * 8);
        for (int b = 0; b < BATCH; b++) {
            for (int i = 0; i < n; i++) x[i] = real[b * n + i];
            transform(x, y, sizes, 1, FORWARD);
            for (int i = 0; i < half; i++) EXPECT(is_near(found[b * half + i], y[i], 1e-5));
        }
        STATUS(cufftExecC2R(back, out, in), OK);
        download(again, in, (size_t)(BATCH * n) * 4);
        for (int i = 0; i < BATCH * n; i++) EXPECT(fabsf(again[i] / (float)n - real[i]) < 1e-5f);
        /* Rows of 2 * half numbers, which become rows of half complex ones. */
        float padded[MAX];
        for (int i = 0; i < BATCH * 2 * half; i++) padded[i] = i % (2 * half) < n ? real[i / (2 * half) * n + i % (2 * half)] : 99;
        void *place = uploaded(padded, (size_t)(BATCH * half) * 8);
        STATUS(cufftPlanMany(&plan, 1, sizes, rows, 1, 2 * half, halves, 1, half, R2C, BATCH), OK);
        STATUS(cufftExecR2C(plan, place, place), OK);
        float complex other[MAX];
        download(other, place, (size_t)(BATCH * half) * 8);
        for (int i = 0; i < BATCH * half; i++) EXPECT(is_near(other[i], found[i], 1e-5));
        STATUS(cufftDestroy(forward), OK);
        STATUS(cufftDestroy(back), OK);
        STATUS(cufftDestroy(plan), OK);
    }
    /* In two dimensions, and in double precision. */
    int sizes[] = {4, 5}, forward, back;
    double real[20], again[20];
    for (int i = 0; i < 20; i++) x[i] = real[i] = next_number();
    void *in = uploaded(real, sizeof real), *out = device_memory(4 * 3 * 16);
    STATUS(cufftPlan2d(&forward, 4, 5, D2Z), OK);
    STATUS(cufftPlan2d(&back, 4, 5, Z2D), OK);
    STATUS(cufftExecD2Z(forward, in, out), OK);
    download(z, out, 4 * 3 * 16);
    transform(x, y, sizes, 2, FORWARD);
    for (int i = 0; i < 12; i++) EXPECT(is_near(z[i], y[i / 3 * 5 + i % 3], 1e-12));
    STATUS(cufftExecZ2D(back, out, in), OK);
    download(again, in, sizeof again);
    for (int i = 0; i < 20; i++) EXPECT(fabs(again[i] / 20 - real[i]) < 1e-12);
    STATUS(cufftDestroy(forward), OK);
    STATUS(cufftDestroy(back), OK);
}

/* The columns of a matrix of 5 rows of 7, of which the first 4 are transformed, into rows of another with room between. */
static void layouts(void) {
    enum { ROWS = 5, COLUMNS = 7, USED = 4, ROOM = 9 };
    long long n[] = {ROWS}, inembed[] = {ROWS}, onembed[] = {ROOM};
    float complex matrix[ROWS * COLUMNS], found[USED * ROOM];
    int plan;
    size_t work = 0, told;
    for (int i = 0; i < ROWS * COLUMNS; i++) matrix[i] = (float complex)(next_number() + I * next_number());
    void *in = uploaded(matrix, sizeof matrix), *out = device_memory(((USED - 1) * ROOM + ROWS) * 8);
    STATUS(cufftCreate(&plan), OK);
    STATUS(cufftMakePlanMany64(plan, 1, n, inembed, COLUMNS, 1, onembed, 1, ROOM, C2C, USED, &work), OK);
    STATUS(cufftGetSize(plan, &told), OK);
    EXPECT(work > 0 && work == told);
    STATUS(cufftExecC2C(plan, in, out, FORWARD), OK);
    download(found, out, ((USED - 1) * ROOM + ROWS) * 8);
    for (int c = 0; c < USED; c++) {
        int sizes[] = {ROWS};
        for (int r = 0; r < ROWS; r++) x[r] = matrix[r * COLUMNS + c];
        transform(x, y, sizes, 1, FORWARD);
        for (int r = 0; r < ROWS; r++) EXPECT(is_near(found[c * ROOM + r], y[r], 1e-5));
    }
    unsigned char between;
    download(&between, (char *)out + ROWS * 8, 1);
    EXPECT(between == 0xee);
    STATUS(cufftDestroy(plan), OK);
}

/* As PyTorch does: types by cudaDataType, half precision, and a work area of the program's. */
static void own_areas(void) {
    long long n[] = {8};
    size_t work;
    int plan, sizes[] = {8};
    _Float16 half[16], found[16];
    for (int i = 0; i < 16; i++) half[i] = (_Float16)next_number();
    for (int i = 0; i < 8; i++) x[i] = (double)half[2 * i] + I * (double)half[2 * i + 1];
    void *in = uploaded(half, sizeof half);
    STATUS(cufftCreate(&plan), OK);
    STATUS(cufftSetAutoAllocation(plan, 0), OK);
    STATUS(cufftXtMakePlanMany(plan, 1, n, NULL, 1, 8, 6, NULL, 1, 8, 6, 1, &work, 6), OK);
    STATUS(cufftXtExec(plan, in, in, FORWARD), NO_WORKSPACE);
    STATUS(cufftSetWorkArea(plan, device_memory(work)), OK);
    STATUS(cufftXtExec(plan, in, in, FORWARD), OK);
    download(found, in, sizeof found);
    transform(x, y, sizes, 1, FORWARD);
    for (int i = 0; i < 8; i++) EXPECT(is_near((double)found[2 * i] + I * (double)found[2 * i + 1], y[i], 1e-2));
    STATUS(cufftDestroy(plan), OK);
}

/* Plans that come and go leave nothing, and what they have may be given one by one. */
static void areas_come_back(void) {
    size_t before, after, total, work;
    int plan;
    CHECK(cuMemGetInfo_v2(&before, &total));
    for (int time = 0; time < 20; time++) {
        STATUS(cufftPlan1d(&plan, 1 << 16, C2C, 1), OK);
        STATUS(cufftGetSize(plan, &work), OK);
        CHECK(cuMemGetInfo_v2(&after, &total));
        EXPECT(before - after >= work);
        if (time % 2 == 0) STATUS(cufftSetWorkArea(plan, NULL), OK);
        STATUS(cufftDestroy(plan), OK);
        CHECK(cuMemGetInfo_v2(&after, &total));
        EXPECT(after == before);
    }
}

/* In the order of its stream, and as often as a graph that has recorded it is launched. */
static void streams(void) {
    enum { N = 16 };
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    float complex narrow[N], found[N];
    int plan, sizes[] = {N};
    fill(N);
    for (int i = 0; i < N; i++) narrow[i] = (float complex)x[i];
    void *data = uploaded(narrow, sizeof narrow);
    CHECK(cuStreamCreate(&stream, 1));
    STATUS(cufftPlan1d(&plan, N, C2C, 1), OK);
    STATUS(cufftSetStream(plan, stream), OK);
    STATUS(cufftExecC2C(plan, data, data, FORWARD), OK);
    CHECK(cuMemcpyDtoHAsync_v2(found, (CUdeviceptr)(uintptr_t)data, sizeof found, stream));
    CHECK(cuStreamSynchronize(stream));
    transform(x, y, sizes, 1, FORWARD);
    for (int i = 0; i < N; i++) EXPECT(is_near(found[i], y[i], 1e-5));
    CHECK(cuStreamBeginCapture_v2(stream, 0));
    STATUS(cufftExecC2C(plan, data, data, INVERSE), OK);
    STATUS(cufftExecC2C(plan, data, data, FORWARD), OK);
    CHECK(cuStreamEndCapture(stream, &graph));
    CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
    CHECK(cuGraphLaunch(exec, stream));
    CHECK(cuGraphLaunch(exec, stream));
    CHECK(cuStreamSynchronize(stream));
    download(found, data, sizeof found);
    for (int i = 0; i < N; i++) EXPECT(is_near(found[i], y[i] * N * N, 1e-4));
    CHECK(cuGraphExecDestroy(exec));
    CHECK(cuGraphDestroy(graph));
    STATUS(cufftDestroy(plan), OK);
    CHECK(cuStreamDestroy_v2(stream));
}

/* Each by its own call, after which all goes on. */
static void refusals(void) {
    int plan, other, version, part, sizes[] = {4};
    long long wide[] = {4}, none[] = {0};
    size_t work;
    void *memory = device_memory(64), *little = device_memory(24);
    STATUS(cufftGetVersion(&version), OK);
    STATUS(cufftGetProperty(0, &part), OK);
    EXPECT(version / 1000 == part && part >= 11);
    STATUS(cufftDestroy(-1), INVALID_PLAN);
    STATUS(cufftDestroy(4711), INVALID_PLAN);
    STATUS(cufftPlan1d(&plan, 0, C2C, 1), INVALID_SIZE);
    EXPECT(plan == -1);
    STATUS(cufftPlan1d(&plan, 4, C2C, 0), INVALID_SIZE);
    STATUS(cufftPlan1d(&plan, 4, 1, 1), INVALID_TYPE);
    STATUS(cufftPlanMany(&plan, 4, sizes, NULL, 1, 0, NULL, 1, 0, C2C, 1), INVALID_SIZE);
    STATUS(cufftPlanMany(&plan, 1, sizes, sizes, 0, 4, sizes, 1, 4, C2C, 1), INVALID_VALUE);
    STATUS(cufftCreate(&plan), OK);
    STATUS(cufftExecC2C(plan, memory, memory, FORWARD), INVALID_PLAN);
    STATUS(cufftGetSize(plan, &work), INVALID_PLAN);
    STATUS(cufftXtMakePlanMany(plan, 1, wide, NULL, 1, 4, 4, NULL, 1, 4, 5, 1, &work, 5), INVALID_TYPE);
    STATUS(cufftMakePlanMany64(plan, 1, wide, none, 1, 4, wide, 1, 4, C2C, 1, &work), INVALID_VALUE);
    STATUS(cufftMakePlan1d(plan, 4, C2C, 1, &work), OK);
    STATUS(cufftMakePlan1d(plan, 4, C2C, 1, &work), INVALID_PLAN);
    STATUS(cufftSetAutoAllocation(plan, 0), INVALID_PLAN);
    STATUS(cufftExecC2C(plan, NULL, memory, FORWARD), INVALID_VALUE);
    STATUS(cufftExecC2C(plan, memory, memory, 0), INVALID_VALUE);
    STATUS(cufftExecR2C(plan, memory, memory), INVALID_TYPE);
    STATUS(cufftExecC2C(plan, sizes, memory, FORWARD), INVALID_VALUE);
    STATUS(cufftExecC2C(plan, memory, memory, FORWARD), OK);
    STATUS(cufftEstimate1d(4, C2C, 1, &work), OK);
    STATUS(cufftGetSize2d(plan, 4, 4, C2C, &work), OK);
    STATUS(cufftXtSetGPUs(), NOT_SUPPORTED);
    /* The first run of a kind of work is answered, so what it does not reach is refused by its own call. */
    STATUS(cufftPlan1d(&other, 4, C2C, 1), OK);
    STATUS(cufftExecC2C(other, memory, little, FORWARD), INVALID_VALUE);
    STATUS(cufftExecC2C(other, memory, memory, INVERSE), OK);
    STATUS(cufftDestroy(other), OK);
    STATUS(cufftDestroy(plan), OK);
    STATUS(cufftExecC2C(plan, memory, memory, FORWARD), INVALID_PLAN);
    CHECK(cuCtxSynchronize());
}

int main(void) {
    start();
    complex_transforms();
    real_transforms();
    layouts();
    own_areas();
    areas_come_back();
    streams();
    refusals();
    printf("ok\n");
    return 0;
}
