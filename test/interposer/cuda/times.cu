/*
 * What a program's time goes to: launches, waits, copies, and work on the device. Each is timed as the program sees it and told as `figure
 * VALUE UNIT NAME`, and every result is checked. The argument says how large the work is: 1 for a CPU, 16 for a GPU.
 */
#include "check.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#define TILE 16

__global__ void nothing() {}

__global__ void triad(const float *a, const float *b, float *c, float factor, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) c[i] = a[i] + factor * b[i];
}

__global__ void multiply(const float *a, const float *b, float *c, int n) {
    __shared__ float from_a[TILE][TILE], from_b[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int tile = 0; tile < n; tile += TILE) {
        from_a[threadIdx.y][threadIdx.x] = a[row * n + tile + threadIdx.x];
        from_b[threadIdx.y][threadIdx.x] = b[(tile + threadIdx.y) * n + column];
        __syncthreads();
        for (int k = 0; k < TILE; k++) sum += from_a[threadIdx.y][k] * from_b[k][threadIdx.x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}

/* One step of bodies that attract each other. */
__global__ void attract(const float4 *bodies, float4 *moved, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float4 own = bodies[i];
    float x = 0, y = 0, z = 0;
    for (int k = 0; k < n; k++) {
        float4 other = bodies[k];
        float dx = other.x - own.x, dy = other.y - own.y, dz = other.z - own.z;
        float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + 0.01f), pull = other.w * inverse * inverse * inverse;
        x += dx * pull, y += dy * pull, z += dz * pull;
    }
    moved[i] = make_float4(own.x + 0.001f * x, own.y + 0.001f * y, own.z + 0.001f * z, own.w);
}

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/* Seconds that it takes, the median of five after one that does not count. */
template <class Work> static double median(Work work) {
    double seconds[5];
    work();
    for (double &each : seconds) {
        double start = now();
        work();
        each = now() - start;
    }
    std::sort(seconds, seconds + 5);
    return seconds[2];
}

static void figure(double value, const char *unit, const char *name) { printf("figure %.6g %s %s\n", value, unit, name); }

static void launches(int count) {
    double many = median([&] {
        for (int i = 0; i < count; i++) nothing<<<1, 32>>>();
        CHECK(cudaDeviceSynchronize());
    });
    double waited = median([&] {
        for (int i = 0; i < 100; i++) {
            nothing<<<1, 32>>>();
            CHECK(cudaDeviceSynchronize());
        }
    });
    figure(count / many, "1/s", "launches");
    figure(waited * 1e4, "us", "launch and synchronise");
}

static void copies(size_t bytes, bool is_pinned) {
    char *host, *device;
    if (is_pinned) CHECK(cudaMallocHost(&host, bytes));
    else host = (char *)malloc(bytes);
    CHECK(cudaMalloc(&device, bytes));
    memset(host, 3, bytes);
    double to = median([&] {
        CHECK(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
        CHECK(cudaDeviceSynchronize());
    });
    memset(host, 0, bytes);
    double from = median([&] { CHECK(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost)); });
    EXPECT(host[0] == 3 && host[bytes / 2] == 3 && host[bytes - 1] == 3);
    figure(bytes / to / 1e9, "GB/s", is_pinned ? "pinned copies to the device" : "pageable copies to the device");
    figure(bytes / from / 1e9, "GB/s", is_pinned ? "pinned copies from the device" : "pageable copies from the device");
    CHECK(cudaFree(device));
    if (is_pinned) CHECK(cudaFreeHost(host));
    else free(host);
}

static void streams_of_memory(size_t n) {
    float *a, *b, *c, last;
    for (float **each : {&a, &b, &c}) CHECK(cudaMalloc(each, n * sizeof(float)));
    for (float *each : {a, b}) CHECK(cudaMemset(each, 0, n * sizeof(float)));
    std::vector<float> ones(n, 1.5f);
    CHECK(cudaMemcpy(a, ones.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(b, ones.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    double seconds = median([&] {
        for (int i = 0; i < 10; i++) triad<<<1024, 256>>>(a, b, c, 2, n);
        CHECK(cudaDeviceSynchronize());
    });
    CHECK(cudaMemcpy(&last, c + n - 1, sizeof last, cudaMemcpyDeviceToHost));
    EXPECT(last == 4.5f);
    figure(30 * n * sizeof(float) / seconds / 1e9, "GB/s", "triads");
    for (float *each : {a, b, c}) CHECK(cudaFree(each));
}

static void products(int n) {
    std::vector<float> a(n * n), b(n * n), c(n * n);
    float *there[3];
    for (int i = 0; i < n * n; i++) a[i] = i % 7, b[i] = i % 5;
    for (float *&each : there) CHECK(cudaMalloc(&each, n * n * sizeof(float)));
    CHECK(cudaMemcpy(there[0], a.data(), n * n * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(there[1], b.data(), n * n * sizeof(float), cudaMemcpyHostToDevice));
    double seconds = median([&] {
        multiply<<<dim3(n / TILE, n / TILE), dim3(TILE, TILE)>>>(there[0], there[1], there[2], n);
        CHECK(cudaDeviceSynchronize());
    });
    CHECK(cudaMemcpy(c.data(), there[2], n * n * sizeof(float), cudaMemcpyDeviceToHost));
    for (int place = 0; place < n * n; place += n * n / 50 + 1) {
        float sum = 0;
        for (int k = 0; k < n; k++) sum += a[place / n * n + k] * b[k * n + place % n];
        EXPECT(c[place] == sum);
    }
    figure(2.0 * n * n * n / seconds / 1e9, "GFLOP/s", "tiled products");
    for (float *each : there) CHECK(cudaFree(each));
}

static void bodies(int n) {
    std::vector<float4> start(n), end(n);
    float4 *there[2];
    for (int i = 0; i < n; i++) start[i] = make_float4(sinf(i), cosf(3 * i), sinf(5 * i), 1.0f / n);
    for (float4 *&each : there) CHECK(cudaMalloc(&each, n * sizeof(float4)));
    const int steps = 10;
    double seconds = median([&] {
        CHECK(cudaMemcpy(there[0], start.data(), n * sizeof(float4), cudaMemcpyHostToDevice));
        for (int step = 0; step < steps; step++) attract<<<(n + 127) / 128, 128>>>(there[step % 2], there[1 - step % 2], n);
        CHECK(cudaMemcpy(end.data(), there[steps % 2], n * sizeof(float4), cudaMemcpyDeviceToHost));
    });
    /* What one gains of momentum another loses. */
    double drift = 0, way = 0;
    for (int i = 0; i < n; i++) drift += end[i].x - start[i].x, way += fabs(end[i].x - start[i].x);
    EXPECT(way > 0 && fabs(drift) < 0.05 * way);
    figure(seconds * 1e3, "ms", "steps of bodies that attract each other");
    for (float4 *each : there) CHECK(cudaFree(each));
}

int main(int count, char **arguments) {
    int size = count > 1 ? atoi(arguments[1]) : 1;
    double start = now();
    CHECK(cudaFree(0));
    figure((now() - start) * 1e3, "ms", "first call");
    launches(1000 * size);
    copies((size_t)size << 22, false);
    copies((size_t)size << 22, true);
    streams_of_memory((size_t)size << 20);
    products(size * 128);
    bodies(size * 1024);
    printf("ok\n");
    return 0;
}
