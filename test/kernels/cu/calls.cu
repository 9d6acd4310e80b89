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
