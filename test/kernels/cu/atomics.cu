/* Atomic operations on global and shared memory, 32 and 64 bits. */

/* Every thread applies every operation to slots shared by all threads; the results do not depend on the order. */
extern "C" __global__ void atomics32(int n, const unsigned *in, unsigned *slots, unsigned *previous) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = in[i];
  previous[i] = atomicAdd(&slots[0], 1u);
  atomicSub(&slots[1], v);
  atomicMin(&slots[2], v);
  atomicMax(&slots[3], v);
  atomicMin((int *)&slots[4], (int)v);
  atomicMax((int *)&slots[5], (int)v);
  atomicAnd(&slots[6], v | 0xffff0000u);
  atomicOr(&slots[7], v & 0x00f0f0f0u);
  atomicXor(&slots[8], v);
  atomicInc(&slots[9], 36u);
  atomicDec(&slots[10], 36u);
  atomicExch(&slots[11], v);
  atomicCAS(&slots[12], 0u, v);
}

extern "C" __global__ void atomics64(int n, const unsigned long long *in, unsigned long long *slots,
                                     unsigned long long *previous) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long v = in[i];
  previous[i] = atomicAdd(&slots[0], 1ull << 33);
  atomicAdd(&slots[1], v);
  atomicMin(&slots[2], v);
  atomicMax(&slots[3], v);
  atomicMin((long long *)&slots[4], (long long)v);
  atomicMax((long long *)&slots[5], (long long)v);
  atomicAnd(&slots[6], v | 0xffffffff00000000ull);
  atomicOr(&slots[7], v & 0x00f0f0f000f0f0f0ull);
  atomicXor(&slots[8], v);
  atomicExch(&slots[9], v);
  atomicCAS(&slots[10], 0ull, v);
}

/* Floats: whole numbers, so that the sum is exact in any order. */
extern "C" __global__ void atomics_float(int n, const float *in, float *sum, double *wide_sum, double *product_max) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  atomicAdd(sum, in[i]);
  atomicAdd(wide_sum, (double)in[i] * 65536.0);
  /* A compare-and-swap loop, as programs write it for what has no instruction. */
  unsigned long long *word = (unsigned long long *)product_max;
  unsigned long long seen = *word, expected;
  do {
    expected = seen;
    double larger = fmax(__longlong_as_double((long long)expected), (double)in[i] * 3.0);
    seen = atomicCAS(word, expected, (unsigned long long)__double_as_longlong(larger));
  } while (seen != expected);
}

extern "C" __global__ void atomics_shared(const unsigned *in, unsigned *out, unsigned long long *out64, float *out_float) {
  __shared__ unsigned slots[4];
  __shared__ unsigned long long wide;
  __shared__ float total;
  int t = threadIdx.x;
  if (t == 0) {
    slots[0] = 0;
    slots[1] = 0xffffffffu;
    slots[2] = 0;
    slots[3] = 0;
    wide = 0;
    total = 0;
  }
  __syncthreads();
  unsigned v = in[blockIdx.x * blockDim.x + t];
  atomicAdd(&slots[0], v);
  atomicMin(&slots[1], v);
  atomicMax(&slots[2], v);
  atomicXor(&slots[3], v);
  atomicAdd(&wide, (unsigned long long)v << 20);
  atomicAdd(&total, (float)(v & 255));
  __syncthreads();
  if (t < 4) out[blockIdx.x * 4 + t] = slots[t];
  if (t == 4) out64[blockIdx.x] = wide;
  if (t == 5) out_float[blockIdx.x] = total;
}

/* The last block to finish sums what all blocks wrote: needs fences and an atomic counter across blocks. */
extern "C" __global__ void last_block(int n, const unsigned *in, unsigned *partial, unsigned *counter, unsigned *result) {
  __shared__ unsigned sum;
  __shared__ bool last;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&sum, in[i]);
  __syncthreads();
  if (threadIdx.x == 0) {
    ((volatile unsigned *)partial)[blockIdx.x] = sum;
    __threadfence();
    last = atomicInc(counter, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    unsigned total = 0;
    for (int b = 0; b < gridDim.x; b++) total += ((volatile unsigned *)partial)[b];
    *result = total;
  }
}
