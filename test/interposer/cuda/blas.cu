/*
 * Products by cuBLAS and cuBLASLt in all types and transpositions, with odd leading dimensions and offsets, batches, vectors, biases, and in a graph,
 * against the host's. The libraries are loaded by name: a program finds what its process is given.
 */
#include "check.h"

#include <cmath>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <dlfcn.h>

enum { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_TF32 = 77 };

typedef int (*create_type)(void **);
typedef int (*stream_type)(void *, cudaStream_t);
typedef int (*gemm_type)(void *, int, int, int, int, int, const void *, const void *, int, int, long long, const void *, int, int, long long,
                         const void *, void *, int, int, long long, int, int, int);
typedef int (*gemv_type)(void *, int, int, int, const float *, const float *, int, const float *, int, const float *, float *, int);
typedef int (*dot_type)(void *, int, const float *, int, const float *, int, float *);

static void *library(const char *name) {
    for (int major = 13; major >= 12; major--) {
        char file[64];
        snprintf(file, sizeof file, "%s.so.%d", name, major);
        if (void *found = dlopen(file, RTLD_NOW)) return found;
    }
    printf("there is no [%s]: %s\n", name, dlerror());
    exit(1);
}

template <typename F> static F find(void *from, const char *name) {
    void *found = dlsym(from, name);
    EXPECT(found != NULL);
    return (F)found;
}

static void *blas, *light, *handle;

static size_t bytes_of(int type) {
    return type == R_64F ? 8 : type == R_32F ? 4 : 2;
}

static double get(const void *from, int type, size_t i) {
    if (type == R_64F) return ((const double *)from)[i];
    if (type == R_32F) return ((const float *)from)[i];
    return type == R_16F ? __half2float(((const __half *)from)[i]) : __bfloat162float(((const __nv_bfloat16 *)from)[i]);
}

static void put(void *to, int type, size_t i, double value) {
    if (type == R_64F) ((double *)to)[i] = value;
    else if (type == R_32F) ((float *)to)[i] = (float)value;
    else if (type == R_16F) ((__half *)to)[i] = __float2half((float)value);
    else ((__nv_bfloat16 *)to)[i] = __float2bfloat16((float)value);
}

/* Eighths from -1 to 1, which every type has: their products and short sums are exact. */
struct array {
    int type;
    size_t count;
    std::vector<char> host;
    char *device;
    array(int type, size_t count) : type(type), count(count), host(count * bytes_of(type)) {
        static unsigned state = 12345;
        for (size_t i = 0; i < count; i++) state = state * 1664525u + 1013904223u, put(host.data(), type, i, ((int)(state >> 16) % 17 - 8) / 8.0);
        CHECK(cudaMalloc(&device, host.size()));
        CHECK(cudaMemcpy(device, host.data(), host.size(), cudaMemcpyHostToDevice));
    }
    ~array() { cudaFree(device); }
    double at(size_t i) const { return get(host.data(), type, i); }
    void *from(size_t i) const { return device + i * bytes_of(type); }
};

struct shape {
    int type, result, compute, op_a, op_b, m, n, k, slack, count;
    double alpha, beta;
};

static void tell(const shape &s, const char *what, int status) {
    printf("%s %d: types %d %d compute %d ops %d %d, %d x %d x %d, slack %d, batch %d\n", what, status, s.type, s.result, s.compute, s.op_a, s.op_b, s.m, s.n,
           s.k, s.slack, s.count);
    exit(1);
}

/* The device's result is the host's, to the rounding of its type and of f32 sums. */
static void compare(const shape &s, const array &c, size_t skip) {
    std::vector<char> found(c.host.size());
    if (cudaMemcpy(found.data(), c.device, found.size(), cudaMemcpyDeviceToHost) != cudaSuccess) tell(s, "the device fails", (int)cudaGetLastError());
    double tolerance = c.type == R_64F ? 1e-14 : c.type == R_32F ? 1e-5 : c.type == R_16F ? 2e-3 : 1.6e-2;
    for (size_t i = skip; i < c.count; i++) {
        double is = get(found.data(), c.type, i);
        if (!(fabs(is - c.at(i)) <= tolerance * (1 + fabs(c.at(i))))) {
            printf("element %zu is %g, not %g; ", i, is, c.at(i));
            tell(s, "wrong", 0);
        }
    }
}

static void multiply(shape s) {
    int lda = (s.op_a == 0 ? s.m : s.k) + s.slack, ldb = (s.op_b == 0 ? s.k : s.n) + s.slack, ldc = s.m + s.slack;
    long long stride_a = (long long)lda * (s.op_a == 0 ? s.k : s.m), stride_b = (long long)ldb * (s.op_b == 0 ? s.n : s.k), stride_c = (long long)ldc * s.n;
    /* Odd shapes begin at odd addresses, as views of larger tensors do. */
    size_t skip = s.slack % 2 == 0 ? 0 : 1;
    array a(s.type, skip + stride_a * s.count), b(s.type, skip + stride_b * s.count), c(s.result, skip + stride_c * s.count);
    float alpha = (float)s.alpha, beta = (float)s.beta;
    bool wide = s.type == R_64F;
    static gemm_type gemm = find<gemm_type>(blas, "cublasGemmStridedBatchedEx");
    int status = gemm(handle, s.op_a, s.op_b, s.m, s.n, s.k, wide ? (void *)&s.alpha : &alpha, a.from(skip), s.type, lda, stride_a, b.from(skip), s.type, ldb,
                      stride_b, wide ? (void *)&s.beta : &beta, c.from(skip), s.result, ldc, stride_c, s.count, s.compute, -1);
    if (status != 0) tell(s, "the product is refused", status);
    for (int batch = 0; batch < s.count; batch++)
        for (int column = 0; column < s.n; column++)
            for (int row = 0; row < s.m; row++) {
                double sum = 0;
                for (int i = 0; i < s.k; i++)
                    sum += a.at(skip + batch * stride_a + (s.op_a == 0 ? (long long)i * lda + row : (long long)row * lda + i)) *
                           b.at(skip + batch * stride_b + (s.op_b == 0 ? (long long)column * ldb + i : (long long)i * ldb + column));
                size_t at = skip + batch * stride_c + (long long)column * ldc + row;
                put(c.host.data(), s.result, at, s.alpha * sum + (s.beta == 0 ? 0 : s.beta * c.at(at)));
            }
    compare(s, c, skip);
}

static void every_shape(int type, int result, int compute) {
    static const int sizes[][3] = {{64, 96, 48}, {5, 7, 3}, {33, 17, 65}, {1, 9, 31}, {9, 1, 31}, {1, 1, 200}, {8, 8, 1}};
    /* Each size with each slack, and with two of the four pairs of transpositions, in turn. */
    for (int each = 0; each < 2 * 2 * 4 * 7; each++) {
        int op_a = each % 2, op_b = each / 2 % 2, slack = each / 4 % 4, place = each / 16;
        if ((op_a + op_b + slack + place) % 2 != 0) continue;
        const int *size = sizes[place];
        multiply({type, result, compute, op_a, op_b, size[0], size[1], size[2], slack, 1, 1, 0});
        multiply({type, result, compute, op_a, op_b, size[0], size[1], size[2], slack, slack == 1 ? 3 : 1, -0.5, 1});
    }
}

/* A bias for each row and a ReLU, as layers of networks have them. A library may find no way: then it says so, and computes nothing. */
static void layer(int type, int epilogue) {
    typedef int (*make_type)(void **, int, int);
    typedef int (*layout_type)(void **, int, unsigned long long, unsigned long long, long long);
    typedef int (*set_type)(void *, int, const void *, size_t);
    typedef int (*preference_type)(void **);
    typedef int (*ask_type)(void *, void *, void *, void *, void *, void *, void *, int, void *, int *);
    typedef int (*matmul_type)(void *, void *, const void *, const void *, void *, const void *, void *, const void *, const void *, void *, void *, void *,
                               const void *, void *, size_t, cudaStream_t);
    enum { M = 40, N = 24, K = 56 };
    shape s = {type, type, COMPUTE_32F, 1, 0, M, N, K, 0, epilogue, 1, 0};
    array a(type, K * M), b(type, K * N), c(type, M * N), bias(type, M);
    void *operation, *la, *lb, *lc, *preference;
    struct { unsigned long long algorithm[8]; size_t workspace; int state; float waves; int reserved[4]; } way;
    int one = 1, found = 0;
    float alpha = 1, beta = 0;
    EXPECT(find<make_type>(light, "cublasLtMatmulDescCreate")(&operation, COMPUTE_32F, R_32F) == 0);
    set_type set = find<set_type>(light, "cublasLtMatmulDescSetAttribute");
    EXPECT(set(operation, 3, &one, 4) == 0 && set(operation, 7, &epilogue, 4) == 0 && set(operation, 8, &bias.device, 8) == 0);
    layout_type layout = find<layout_type>(light, "cublasLtMatrixLayoutCreate");
    EXPECT(layout(&la, type, K, M, K) == 0 && layout(&lb, type, K, N, K) == 0 && layout(&lc, type, M, N, M) == 0);
    EXPECT(find<preference_type>(light, "cublasLtMatmulPreferenceCreate")(&preference) == 0);
    int status = find<ask_type>(light, "cublasLtMatmulAlgoGetHeuristic")(handle, operation, la, lb, lc, lc, preference, 1, &way, &found);
    if (status != 0 || found != 1) tell(s, "no way for a layer", status);
    status = find<matmul_type>(light, "cublasLtMatmul")(handle, operation, &alpha, a.device, la, b.device, lb, &beta, c.device, lc, c.device, lc, &way, NULL, 0, NULL);
    if (status != 0) tell(s, "a layer is refused", status);
    for (int column = 0; column < N; column++)
        for (int row = 0; row < M; row++) {
            double sum = (epilogue & 4) != 0 ? bias.at(row) : 0;
            for (int i = 0; i < K; i++) sum += a.at(row * K + i) * b.at(column * K + i);
            put(c.host.data(), type, column * M + row, (epilogue & 2) != 0 && sum < 0 ? 0 : sum);
        }
    compare(s, c, 0);
}

static void vectors() {
    array a(R_32F, 70 * 50), x(R_32F, 300), y(R_32F, 300);
    float one = 1, half = 0.5f, sum;
    double wanted = 0;
    shape s = {R_32F, R_32F, COMPUTE_32F, 0, 0, 50, 1, 70, 0, 1, 1, 0.5};
    gemv_type gemv = find<gemv_type>(blas, "cublasSgemv_v2");
    EXPECT(gemv(handle, 0, 50, 70, &one, (float *)a.device, 50, (float *)x.device, 3, &half, (float *)y.device, 2) == 0);
    for (int row = 0; row < 50; row++) {
        double total = 0.5 * y.at(2 * row);
        for (int i = 0; i < 70; i++) total += a.at(i * 50 + row) * x.at(3 * i);
        put(y.host.data(), R_32F, 2 * row, total);
    }
    compare(s, y, 0);
    EXPECT(find<dot_type>(blas, "cublasSdot_v2")(handle, 100, (float *)x.device, 3, (float *)x.device, 1, &sum) == 0);
    for (int i = 0; i < 100; i++) wanted += x.at(3 * i) * x.at(i);
    EXPECT(fabs(sum - wanted) < 1e-3);
}

/* Two products in a row, captured, launched three times over changing operands. */
static void captured() {
    array a(R_32F, 64 * 64), b(R_32F, 64 * 64), c(R_32F, 64 * 64);
    shape s = {R_32F, R_32F, COMPUTE_32F, 0, 0, 64, 64, 64, 0, 1, 1, 0};
    gemm_type gemm = find<gemm_type>(blas, "cublasGemmStridedBatchedEx");
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    float one = 1, zero = 0;
    CHECK(cudaStreamCreate(&stream));
    EXPECT(find<stream_type>(blas, "cublasSetStream_v2")(handle, stream) == 0);
    /* What the library makes at its first product of a shape is not for a capture. */
    EXPECT(gemm(handle, 0, 0, 64, 64, 64, &one, a.device, 0, 64, 0, b.device, 0, 64, 0, &zero, c.device, 0, 64, 0, 1, COMPUTE_32F, -1) == 0);
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    EXPECT(gemm(handle, 0, 0, 64, 64, 64, &one, a.device, 0, 64, 0, b.device, 0, 64, 0, &zero, c.device, 0, 64, 0, 1, COMPUTE_32F, -1) == 0);
    EXPECT(gemm(handle, 0, 1, 64, 64, 64, &one, a.device, 0, 64, 0, b.device, 0, 64, 0, &one, c.device, 0, 64, 0, 1, COMPUTE_32F, -1) == 0);
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int round = 0; round < 3; round++) {
        put(a.host.data(), R_32F, 0, round);
        CHECK(cudaMemcpyAsync(a.device, a.host.data(), 4, cudaMemcpyHostToDevice, stream));
        CHECK(cudaGraphLaunch(exec, stream));
    }
    CHECK(cudaStreamSynchronize(stream));
    for (int column = 0; column < 64; column++)
        for (int row = 0; row < 64; row++) {
            double sum = 0;
            for (int i = 0; i < 64; i++) sum += a.at(i * 64 + row) * (b.at(column * 64 + i) + b.at(i * 64 + column));
            put(c.host.data(), R_32F, column * 64 + row, sum);
        }
    compare(s, c, 0);
    EXPECT(find<stream_type>(blas, "cublasSetStream_v2")(handle, NULL) == 0);
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaStreamDestroy(stream));
}

int main() {
    light = library("libcublasLt");
    blas = library("libcublas");
    EXPECT(find<create_type>(blas, "cublasCreate_v2")(&handle) == 0);
    static const int types[][3] = {{R_32F, R_32F, COMPUTE_32F}, {R_16BF, R_16BF, COMPUTE_32F}, {R_16F, R_16F, COMPUTE_32F}, {R_32F, R_32F, COMPUTE_TF32},
                                   {R_64F, R_64F, COMPUTE_64F}, {R_16F, R_32F, COMPUTE_32F}, {R_16BF, R_32F, COMPUTE_32F}};
    vectors();
    captured();
    for (int type : {R_32F, R_16BF, R_16F})
        for (int epilogue : {4, 6, 2}) layer(type, epilogue);
    for (const int *type : types) every_shape(type[0], type[1], type[2]);
    printf("ok\n");
    return 0;
}
