/* Kernels that go wrong. The address comes as a plain number, so that no bound of a buffer stands in the way. */
#include <cassert>

extern "C" __global__ void store_at(unsigned long long address, int value) {
  if (threadIdx.x == 0 && blockIdx.x == 0) *(volatile int *)address = value;
}

extern "C" __global__ void load_at(unsigned long long address, int *out) { out[threadIdx.x] = *(volatile int *)address; }

extern "C" __global__ void atomic_at(unsigned long long address) { atomicAdd((int *)address, 1); }

extern "C" __global__ void load_vector_at(unsigned long long address, float4 *out) { out[threadIdx.x] = *(const float4 *)address; }

/* Only one thread of many strays, by an index. */
extern "C" __global__ void stray(int n, int *out, long long index) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i == n - 1) out[index] = i;
  else if (i < n) out[i] = i;
}

extern "C" __global__ void endless(volatile int *flag) {
  while (*flag == 0) {
  }
}

/*
 * Never ends for start = 1 and step = 2: after the first round k is 3 by 8. What it would store depends on every round, so that no compiler may leave
 * the loop out, as it may one whose end is known, since it may take for granted that loops end.
 */
extern "C" __global__ void endless_arithmetic(unsigned *out, unsigned start, unsigned step) {
  unsigned k = start;
  while ((k & 7) != 5) k = k * k + step;
  *out = k;
}

extern "C" __global__ void trap_at(int thread) {
  if (blockIdx.x * blockDim.x + threadIdx.x == thread) __trap();
}

extern "C" __global__ void assert_below(const int *in, int limit) { assert(in[threadIdx.x] < limit); }
