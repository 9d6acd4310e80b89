/* Kernels in which the threads of a block work together: barriers, shared memory, shuffles. */

__device__ float warp_sum(float v) {
  for (int offset = 16; offset > 0; offset >>= 1) v += __shfl_down_sync(0xffffffff, v, offset);
  return v;
}

__device__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffff, v, offset));
  return v;
}

/* One partial sum per block; the block must be a multiple of 32 threads. */
extern "C" __global__ void reduce_sum(int n, const float *in, float *partial) {
  __shared__ float warps[32];
  float sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += in[i];
  sum = warp_sum(sum);
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  if (lane == 0) warps[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    sum = lane < (blockDim.x >> 5) ? warps[lane] : 0.0f;
    sum = warp_sum(sum);
    if (lane == 0) partial[blockIdx.x] = sum;
  }
}

/* Minimum, maximum and 64-bit sum of integers through a tree in shared memory, for any block size. */
extern "C" __global__ void reduce_int(int n, const int *in, int *minima, int *maxima, long long *sums) {
  extern __shared__ long long scratch[];
  int *low = (int *)(scratch + blockDim.x);
  int *high = low + blockDim.x;
  int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  scratch[t] = i < n ? in[i] : 0;
  low[t] = i < n ? in[i] : 0x7fffffff;
  high[t] = i < n ? in[i] : -0x7fffffff - 1;
  for (int size = blockDim.x; size > 1;) {
    int half = (size + 1) / 2;
    __syncthreads();
    if (t + half < size) {
      scratch[t] += scratch[t + half];
      low[t] = min(low[t], low[t + half]);
      high[t] = max(high[t], high[t + half]);
    }
    size = half;
  }
  __syncthreads();
  if (t == 0) {
    sums[blockIdx.x] = scratch[0];
    minima[blockIdx.x] = low[0];
    maxima[blockIdx.x] = high[0];
  }
}

/* 256 bins: per block in shared memory, then added to the global ones. */
extern "C" __global__ void histogram_shared(int n, const unsigned char *in, unsigned *bins) {
  __shared__ unsigned local[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&local[in[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x)
    if (local[i]) atomicAdd(&bins[i], local[i]);
}

extern "C" __global__ void histogram_global(int n, const unsigned char *in, unsigned *bins) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&bins[in[i]], 1u);
}

/* One block per row; any number of columns. */
extern "C" __global__ void softmax(int columns, const float *in, float *out) {
  __shared__ float warps[32];
  __shared__ float row_max, row_sum;
  const float *x = in + (size_t)blockIdx.x * columns;
  float *y = out + (size_t)blockIdx.x * columns;
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, count = blockDim.x >> 5;
  float m = -__int_as_float(0x7f800000);
  for (int i = threadIdx.x; i < columns; i += blockDim.x) m = fmaxf(m, x[i]);
  m = warp_max(m);
  if (lane == 0) warps[warp] = m;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < count; i++) m = fmaxf(m, warps[i]);
    row_max = m;
  }
  __syncthreads();
  float sum = 0;
  for (int i = threadIdx.x; i < columns; i += blockDim.x) {
    float e = expf(x[i] - row_max);
    y[i] = e;
    sum += e;
  }
  sum = warp_sum(sum);
  if (lane == 0) warps[warp] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < count; i++) sum += warps[i];
    row_sum = sum;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < columns; i += blockDim.x) y[i] /= row_sum;
}

/* Inclusive scan of one block's elements (Hillis-Steele, barriers in a loop), and the block's total. */
extern "C" __global__ void scan_blocks(int n, const int *in, int *out, int *totals) {
  extern __shared__ int buffer[];
  int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
  buffer[t] = i < n ? in[i] : 0;
  __syncthreads();
  for (int step = 1; step < blockDim.x; step <<= 1) {
    int add = t >= step ? buffer[t - step] : 0;
    __syncthreads();
    buffer[t] += add;
    __syncthreads();
  }
  if (i < n) out[i] = buffer[t];
  if (t == blockDim.x - 1) totals[blockIdx.x] = buffer[t];
}

/* Adds to each block's elements the total of all blocks before it. */
extern "C" __global__ void scan_add(int n, const int *scanned_totals, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (blockIdx.x > 0 && i < n) out[i] += scanned_totals[blockIdx.x - 1];
}

/* Barriers that also count: per round and thread the three answers. */
extern "C" __global__ void sync_votes(int rounds, const int *in, int *counts, int *alls, int *anys) {
  int t = threadIdx.x;
  for (int r = 0; r < rounds; r++) {
    int v = in[(blockIdx.x * rounds + r) * blockDim.x + t];
    int at = (blockIdx.x * rounds + r) * blockDim.x + t;
    counts[at] = __syncthreads_count(v & 1);
    alls[at] = __syncthreads_and(v & 2);
    anys[at] = __syncthreads_or(v & 4);
  }
}

/* Static shared memory beside dynamic shared memory, both used; reverses each block's bytes and words. */
extern "C" __global__ void reverse_blocks(const unsigned *in, unsigned *out, const unsigned char *bytes,
                                          unsigned char *bytes_out) {
  extern __shared__ unsigned dynamic[];
  __shared__ unsigned char fixed[1024];
  int t = threadIdx.x, last = blockDim.x - 1, base = blockIdx.x * blockDim.x;
  dynamic[t] = in[base + t];
  fixed[t] = bytes[base + t];
  __syncthreads();
  out[base + t] = dynamic[last - t];
  bytes_out[base + t] = fixed[last - t];
}

/* Producer and consumer warps meet at a named barrier: bar.arrive on one side, bar.sync on the other. */
extern "C" __global__ void named_barriers(int rounds, int *out) {
  __shared__ int slot[32];
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  for (int r = 0; r < rounds; r++) {
    if (warp == 0) {
      slot[lane] = r * 100 + lane;
      asm volatile("bar.arrive 1, 64;" ::: "memory");
      asm volatile("bar.sync 2, 64;" ::: "memory");
    } else {
      asm volatile("bar.sync 1, 64;" ::: "memory");
      out[(blockIdx.x * rounds + r) * 32 + lane] = slot[31 - lane];
      asm volatile("bar.arrive 2, 64;" ::: "memory");
    }
  }
}

/* Thread 0 waits in a loop for what the last thread of its block writes: both must make progress. */
extern "C" __global__ void spin_wait(int *out) {
  __shared__ volatile int flag;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    while (flag == 0) {
    }
    out[blockIdx.x] = flag;
  } else if (threadIdx.x == blockDim.x - 1) {
    __threadfence_block();
    flag = 41 + blockIdx.x;
  }
}

/* A lock taken by every thread in turn, by compare-and-swap. */
extern "C" __global__ void spin_lock(int *lock, int *counter) {
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      __threadfence();
      *(volatile int *)counter = *(volatile int *)counter + 1;
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}

/* Reverses each block's words in two arrays of dynamic shared memory, which are one, behind a static byte. */
extern "C" __global__ void reverse_behind_byte(const int *in, int *out) {
  extern __shared__ int words[];
  extern __shared__ unsigned same[];
  __shared__ bool is_done;
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  words[threadIdx.x] = in[at];
  if (threadIdx.x == 0) is_done = blockIdx.x < gridDim.x;
  __syncthreads();
  if (is_done) out[at] = (int)same[blockDim.x - 1 - threadIdx.x];
}
