// Functions with memory of their own size in their frames.

__device__ __noinline__ int gather(int n, int factor) {
  int *values = (int *)alloca(n * sizeof(int));
  for (int i = 0; i < n; i++) values[i] = i * factor;
  int sum = 0;
  for (int i = 0; i < n; i++) sum += values[(i * 7) % n] * (i + 1);
  return sum;
}

__device__ __noinline__ int gather_all(int n, int depth) {
  if (depth == 0) return 0;
  int *own = (int *)alloca(depth * sizeof(int));
  own[depth - 1] = depth;
  int below = gather_all(n, depth - 1);
  return gather(n, depth) + below + own[depth - 1];
}

extern "C" __global__ void allocate_in_frames(int n, int depth, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = gather_all(n + threadIdx.x % 5, depth);
}

// Functions in which threads wait for each other, called through pointers and by themselves.

typedef int (*Meeting)(int value, int *shared);

__device__ __noinline__ int add_next(int value, int *shared) {
  shared[threadIdx.x] = value;
  __syncthreads();
  int next = shared[(threadIdx.x + 1) % blockDim.x];
  __syncthreads();
  return value + next;
}
__device__ __noinline__ int sum_of_warp(int value, int *) {
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffff, value, distance);
  return value;
}
__device__ __noinline__ int twice(int value, int *) { return value * 2; }
__device__ Meeting meetings[3] = {add_next, sum_of_warp, twice};

extern "C" __global__ void meet_through_table(const int *which, int steps, int *out) {
  __shared__ int shared[128];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int value = threadIdx.x;
  for (int step = 0; step < steps; step++) value = meetings[which[step]](value, shared) % 1000;
  out[i] = value;
}

__device__ __noinline__ double reduce_halves(double value, int width, int *levels) {
  if (width == 0) return value;
  double other = __shfl_xor_sync(0xffffffff, value, width);
  double below = reduce_halves(value + other, width / 2, levels);
  __syncthreads();
  levels[0] += width;
  return below;
}

extern "C" __global__ void reduce_recursively(const double *in, double *out, int *levels) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int own = 0;
  out[i] = reduce_halves(in[i], 16, &own);
  levels[i] = own;
}

struct Stage {
  __device__ virtual float apply(float value, float *shared) = 0;
  Stage *next = nullptr;
};
struct Shift : Stage {
  __device__ float apply(float value, float *shared) override {
    shared[threadIdx.x] = value;
    __syncthreads();
    float moved = shared[(threadIdx.x + blockDim.x - 1) % blockDim.x];
    __syncthreads();
    return next ? next->apply(moved, shared) : moved;
  }
};
struct Scale : Stage {
  float factor;
  __device__ Scale(float f) : factor(f) {}
  __device__ float apply(float value, float *shared) override {
    value *= factor;
    return next ? next->apply(value, shared) : value;
  }
};

extern "C" __global__ void run_stages(const float *in, float *out) {
  __shared__ float shared[256];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  Shift first, third;
  Scale second(2.0f), fourth(0.25f);
  first.next = &second;
  second.next = &third;
  third.next = &fourth;
  Stage *stage = &first;
  out[i] = stage->apply(in[i], shared);
}
