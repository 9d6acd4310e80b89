/* Warp operations: shuffles of every mode and width, votes, matches, and all of them inside divergent code. */

/* Eight words per thread and width: up, down, xor and index, value and predicate. */
extern "C" __global__ void shuffles(int width, int delta, const unsigned *in, unsigned *out) {
  unsigned v = in[blockIdx.x * blockDim.x + threadIdx.x];
  unsigned clamp_up = (32 - width) << 8, clamp = clamp_up | 31;
  unsigned r, p;
  unsigned *o = out + (blockIdx.x * blockDim.x + threadIdx.x) * 8;
#define SHUFFLE(k, mode, b, c)                                                                                    \
  asm volatile("{ .reg .pred q; shfl.sync." mode ".b32 %0|q, %2, %3, %4, 0xffffffff; selp.u32 %1, 1, 0, q; }"     \
               : "=r"(r), "=r"(p)                                                                                 \
               : "r"(v), "r"(b), "r"(c));                                                                         \
  o[k] = r;                                                                                                       \
  o[k + 1] = p;
  SHUFFLE(0, "up", delta, clamp_up)
  SHUFFLE(2, "down", delta, clamp)
  SHUFFLE(4, "bfly", delta, clamp)
  SHUFFLE(6, "idx", delta, clamp)
}

/* The same through the C interface, with wider types and a source lane that differs per lane. */
extern "C" __global__ void shuffles_wide(const unsigned long long *in, const double *doubles, unsigned long long *out,
                                         double *doubles_out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int lane = threadIdx.x & 31;
  out[i] = __shfl_sync(0xffffffff, in[i], lane * 7 + 3);
  doubles_out[i] = __shfl_xor_sync(0xffffffff, doubles[i], 5, 8);
}

/* Votes and matches over the full mask. */
extern "C" __global__ void votes(const int *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = in[i], all_equal;
  unsigned *o = out + i * 8;
  o[0] = __ballot_sync(0xffffffff, v & 1);
  o[1] = __all_sync(0xffffffff, v & 2);
  o[2] = __any_sync(0xffffffff, v & 4);
  o[3] = __match_any_sync(0xffffffff, v);
  o[4] = __match_all_sync(0xffffffff, v & 8, &all_equal);
  o[5] = all_equal;
  o[6] = __activemask();
  o[7] = __popc(__ballot_sync(0xffffffff, 1));
}

/* Warp operations with part of the warp: each half and each thirds group calls them with its own mask. */
extern "C" __global__ void partial_masks(const int *in, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int lane = threadIdx.x & 31;
  unsigned mask = __ballot_sync(0xffffffff, lane % 3 == 0);
  int v = in[i], r;
  if (lane % 3 == 0) {
    int sum = v;
    for (int offset = 15; offset > 0; offset -= 3) {
      int other = __shfl_sync(mask, v, (lane + offset) % 33);
      sum += other;
    }
    r = sum;
  } else {
    unsigned rest = ~mask;
    unsigned odd = __ballot_sync(rest, v & 1);
    if (v & 1) {
      r = __shfl_sync(odd, v, __ffs(odd) - 1) * 1000 + __popc(odd);
    } else {
      __syncwarp(rest & ~odd);
      r = -__popc(rest & ~odd);
    }
  }
  out[i] = r;
}

/* Lane numbers and lane masks. */
extern "C" __global__ void lane_masks(unsigned *out) {
  unsigned *o = out + (blockIdx.x * blockDim.x + threadIdx.x) * 6;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(o[0]));
  asm volatile("mov.u32 %0, %%lanemask_eq;" : "=r"(o[1]));
  asm volatile("mov.u32 %0, %%lanemask_lt;" : "=r"(o[2]));
  asm volatile("mov.u32 %0, %%lanemask_le;" : "=r"(o[3]));
  asm volatile("mov.u32 %0, %%lanemask_gt;" : "=r"(o[4]));
  asm volatile("mov.u32 %0, %%lanemask_ge;" : "=r"(o[5]));
}

/* Nested divergence, loops with different trip counts, early exit, break, continue and a switch. */
extern "C" __global__ void divergent(int n, const int *in, int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int v = in[i];
  int acc = 0;
  if (v < 0) {
    out[i] = -1;
    return;
  }
  for (int k = 0; k < (v & 63); k++) {
    if ((k ^ v) % 5 == 0) continue;
    if (k > 40 && (v & 64)) break;
    if (k & 1) {
      for (int j = k; j > 0; j >>= 1) {
        if ((j & 3) == 3) acc += j;
        else if (j == 8) { acc ^= 0x55; break; }
        else acc -= 1;
      }
    } else {
      switch ((v + k) & 7) {
        case 0: acc += 3; break;
        case 1: acc ^= k; /* falls through */
        case 2: acc *= 3; break;
        case 3: acc -= v; break;
        case 5: acc = acc * 31 + k; break;
        case 6: if (acc & 1) acc = -acc; break;
        default: acc += 1000;
      }
    }
  }
  int guard = 0;
  while (v > 1 && guard < 200) {
    v = v & 1 ? 3 * v + 1 : v >> 1;
    guard++;
  }
  out[i] = acc * 256 + guard;
}

/* A ballot inside divergent code: each thread leaves the loop in its own round, the rest go on together. */
extern "C" __global__ void divergent_votes(const int *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int rounds = in[i] & 15;
  unsigned mask = 0xffffffff, seen = 0;
  for (int r = 0;; r++) {
    unsigned active = __ballot_sync(mask, r < rounds);
    if (r >= rounds) break;
    seen = seen * 31 + active;
    mask = active;
    int leader = __ffs(mask) - 1;
    seen += __shfl_sync(mask, in[i], leader);
  }
  out[i] = seen;
}

/* A barrier after code in which the threads took different ways, many times, with a loop count that shrinks. */
extern "C" __global__ void divergent_barriers(int rounds, const int *in, int *out) {
  __shared__ int sum;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = in[i];
  for (int r = 0; r < rounds; r++) {
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    if (v & 1) {
      for (int k = 0; k < (v & 7); k++) atomicAdd(&sum, k + r);
      v = v / 2 + r;
    } else {
      atomicAdd(&sum, 1);
      v = v + 3;
    }
    __syncthreads();
    v ^= sum;
    __syncthreads();
  }
  out[i] = v;
}

/* Threads that have left do not take part in later barriers of the others' warps. */
extern "C" __global__ void early_exit_barrier(int keep, const int *in, int *out) {
  __shared__ int values[1024];
  int t = threadIdx.x;
  if (t >= keep) return;
  values[t] = in[blockIdx.x * blockDim.x + t];
  __syncthreads();
  out[blockIdx.x * blockDim.x + t] = values[keep - 1 - t];
}

/* Activemask: the compiler may not move it; inside a branch it must hold only lanes of that branch. */
extern "C" __global__ void active_masks(unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned m;
  if (threadIdx.x & 1) m = __activemask();
  else m = __activemask();
  out[i] = m;
}
