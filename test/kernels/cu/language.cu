/* What the language brings beyond arithmetic: calls, recursion, structs, local arrays, constants, globals, printf. */
#include <cstdio>
#include <new>

struct Inner {
  short weight;
  double scale;
};

struct Options {
  char tag;
  int offsets[3];
  Inner inner;
  float *target;
  unsigned char flags[5];
};

/* A struct of mixed members passed by value, between two scalars. */
extern "C" __global__ void struct_by_value(unsigned char first, Options options, long long last, double *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  options.target[i] = options.offsets[i % 3] + options.flags[i % 5];
  out[i] = options.inner.weight * options.inner.scale + options.tag + first + (double)last;
}

/* Every kind of scalar parameter, with the padding between them. */
extern "C" __global__ void scalars(signed char a, unsigned short b, float c, unsigned char d, double e, int f,
                                   unsigned long long g, short h, bool i, double *out) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
  out[4] = e;
  out[5] = f;
  out[6] = (double)g;
  out[7] = h;
  out[8] = i ? 1.0 : 0.0;
}

__device__ __noinline__ int mix(int a, int b) {
  if (a > b) return a * 3 - b;
  return b * 5 + a;
}

__device__ __noinline__ double blend(double x, float y, long long z, Inner w) { return x * y + z + w.weight * w.scale; }

extern "C" __global__ void calls(const int *in, int *out, double *out_wide) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = in[i];
  for (int k = 0; k < (i & 7) + 1; k++) v = mix(v, k * 1000 - i) & 0xffff;
  out[i] = v;
  Inner inner = {(short)i, 0.25};
  out_wide[i] = blend(v, 0.5f, i, inner);
}

__device__ __noinline__ unsigned long long ackermann(unsigned m, unsigned n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, (unsigned)ackermann(m, n - 1));
}

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

extern "C" __global__ void recursion(int *fib, unsigned long long *ack) {
  int i = threadIdx.x;
  fib[i] = fibonacci(i % 16);
  ack[i] = ackermann(i % 3, i % 5);
}

/* A barrier and a shuffle inside a function that is called. */
__device__ __noinline__ int neighbour(int v, int *shared) {
  shared[threadIdx.x] = v;
  __syncthreads();
  int r = shared[(threadIdx.x + 1) % blockDim.x];
  __syncthreads();
  return r + __shfl_xor_sync(0xffffffff, v, 1);
}

extern "C" __global__ void calls_with_barriers(const int *in, int *out) {
  extern __shared__ int shared[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = in[i];
  for (int k = 0; k < 3; k++) v = neighbour(v, shared) ^ k;
  out[i] = v;
}

/* An insertion sort of a local array, and bytes of it read through another type. */
extern "C" __global__ void local_arrays(const int *in, int *out, unsigned char *bytes) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int values[24];
  for (int k = 0; k < 24; k++) values[k] = in[(i * 24 + k * 7) % (gridDim.x * blockDim.x * 24)];
  for (int k = 1; k < 24; k++) {
    int v = values[k], j = k - 1;
    while (j >= 0 && values[j] > v) {
      values[j + 1] = values[j];
      j--;
    }
    values[j + 1] = v;
  }
  for (int k = 0; k < 24; k++) out[i * 24 + k] = values[k];
  bytes[i] = ((unsigned char *)values)[(i * 5) % 96];
}

__constant__ int table[10] = {5, -3, 8, 0, 13, 21, -34, 55, 89, -144};
__constant__ double factors[3] = {0.5, -2.25, 1e10};
__device__ unsigned counter = 100;
__device__ float history[64];
__device__ int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
__device__ int *where = &matrix[1][1];
__device__ const char *greeting = "good day";

extern "C" __global__ void globals_write(int n, const float *in) {
  int i = threadIdx.x;
  if (i < n && i < 64) history[i] = in[i] * (float)factors[i % 3];
  if (i < 6) matrix[i / 3][i % 3] += table[i];
  atomicAdd(&counter, 1u);
}

extern "C" __global__ void globals_read(int n, float *out, int *words) {
  int i = threadIdx.x;
  if (i < n && i < 64) out[i] = history[i];
  if (i < 6) words[i] = matrix[i / 3][i % 3];
  if (i == 6) words[6] = counter;
  if (i == 7) words[7] = *where;
  if (i >= 8 && i < 16) words[i] = greeting[i - 8];
}

/* Each thread of one block prints in turn; then all kinds of format. */
extern "C" __global__ void print(int n, double x, const char *unused) {
  for (int t = 0; t < n; t++) {
    if (threadIdx.x == t) printf("thread %d of %u: %5.2f %s\n", t, blockDim.x, x * t, t & 1 ? "odd" : "even");
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    printf("%%|%i|%5d|%-5d|%05d|%+d|%x|%X|%o|%c|\n", -7, 42, 42, 42, 42, 0xbeef, 0xbeef, 8, 'z');
    printf("%lld|%llu|%llx|%e|%g|%.3f|%10.4f|\n", -1234567890123ll, 18446744073709551615ull, 0xfeedfacecafebeefull,
           12345.678, 0.0001, 2.0 / 3.0, -3.14159265);
    printf("plain text\n");
  }
}

/* Clock, nanosleep, prefetch and fences: nothing to check but that they run and the clock moves on. */
extern "C" __global__ void machinery(const int *in, unsigned long long *out) {
  unsigned long long start = clock64();
  asm volatile("prefetch.global.L2 [%0];" ::"l"(in));
  __nanosleep(100);
  __threadfence();
  __threadfence_system();
  __threadfence_block();
  int v = in[threadIdx.x];
  unsigned long long now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  out[threadIdx.x * 3] = clock64() >= start;
  out[threadIdx.x * 3 + 1] = now > 0;
  out[threadIdx.x * 3 + 2] = v + __ldg(in + threadIdx.x);
}

/* Calls through pointers: functions from a table, and of objects by what they are. */
typedef int (*Operation)(int, int);
__device__ int op_add(int a, int b) { return a + b; }
__device__ int op_sub(int a, int b) { return a - b; }
__device__ int op_count(int a, int b) { return a < b ? 1 + op_count(a + 1, b) : 0; }
__device__ Operation operations[3] = {op_add, op_sub, op_count};

extern "C" __global__ void call_through_table(const int *which, const int *a, const int *b, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = operations[which[i]](a[i], b[i]);
}

/* Any value of `pointer` that is no function must fault. */
extern "C" __global__ void take_pointer(unsigned long long *out, int which) {
  *out = (unsigned long long)(which < 3 ? operations[which] : op_add);
}
extern "C" __global__ void call_pointer(unsigned long long pointer, int a, int b, int *out) { *out = ((Operation)pointer)(a, b); }

struct Shape {
  int side;
  __device__ Shape(int s) : side(s) {}
  __device__ virtual int area() const { return 0; }
};
struct Square : Shape {
  __device__ Square(int s) : Shape(s) {}
  __device__ int area() const override { return side * side; }
};
struct Line : Shape {
  __device__ Line(int s) : Shape(s) {}
  __device__ int area() const override { return -side; }
};

extern "C" __global__ void call_virtual(const int *which, int *out) {
  __shared__ char room[sizeof(Square)];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  Square square(i);
  Line line(i);
  Shape plain(i);
  if (threadIdx.x == 0) new (room) Square(7);
  __syncthreads();
  const Shape *all[] = {&plain, &square, &line, (const Shape *)room};
  out[i] = all[which[i]]->area();
}
