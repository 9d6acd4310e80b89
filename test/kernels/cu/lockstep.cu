/*
 * Programs that count on the lanes of a warp going in step, without __syncwarp. CUDA promises nothing of that; hardware does it wherever lanes have
 * not parted, and there are programs that were only ever run on hardware. Each kernel's answer is what that gives. Compiled twice: with STEP as volatile,
 * as such programs are commonly written, and with nothing, where an assembler may take a load before a store, and does.
 */
/* Keeps the compiler, and nothing else, from moving accesses across: without it, it takes what a lane has stored for what the lane will find. */
#define ORDER asm volatile("" ::: "memory");

/* The last levels of a sum in shared memory: each reads what other lanes have stored just before. One warp to a row of 32 words. */
extern "C" __global__ void step_sum(const int *in, int *out) {
  __shared__ STEP int s[256];
  int t = threadIdx.x, lane = t & 31;
  s[t] = in[blockIdx.x * blockDim.x + t];
  ORDER
  if (lane < 16) {
    s[t] += s[t + 16];
    ORDER
    s[t] += s[t + 8];
    ORDER
    s[t] += s[t + 4];
    ORDER
    s[t] += s[t + 2];
    ORDER
    s[t] += s[t + 1];
    ORDER
  }
  if (lane == 0) out[(blockIdx.x * blockDim.x + t) / 32] = s[t];
}

/* An inclusive scan, in which lanes with a low number leave off earlier. */
extern "C" __global__ void step_scan(const int *in, int *out) {
  extern __shared__ STEP int dynamic[];
  int lane = threadIdx.x & 31;
  STEP int *s = dynamic + (threadIdx.x & ~31);
  s[lane] = in[threadIdx.x];
  ORDER
  for (int distance = 1; distance < 32; distance *= 2)
    if (lane >= distance) {
      s[lane] += s[lane - distance];
      ORDER
    }
  out[threadIdx.x] = s[lane];
}

/* Flags of all lanes by way of shared memory, and appending what has one, as lists of neighbours are made. `out`: the count, then what was kept. */
extern "C" __global__ void step_append(int n, const int *in, int *out) {
  __shared__ STEP unsigned flags[8];
  __shared__ STEP int kept[8 * 64];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, count = 0;
  int *own = out + warp * (n + 1);
  for (int base = 0; base < n; base += 32) {
    int value = in[warp * n + base + lane];
    bool wanted = (value & 3) == 1;
    if (lane == 0) flags[warp] = 0;
    ORDER
    if (wanted) atomicOr((unsigned *)&flags[warp], 1u << lane);
    ORDER
    unsigned all = flags[warp];
    if (wanted) kept[warp * 64 + (count & 31) + __popc(all & ((1u << lane) - 1))] = value;
    ORDER
    int added = __popc(all);
    if ((count & 31) + added >= 32) {
      own[1 + (count & ~31) + lane] = kept[warp * 64 + lane];
      kept[warp * 64 + lane] = kept[warp * 64 + lane + 32];
    }
    ORDER
    count += added;
  }
  if (lane < (count & 31)) own[1 + (count & ~31) + lane] = kept[warp * 64 + lane];
  if (lane == 0) own[0] = count;
}

/* A warp turns a tile of 32 by 32 words. */
extern "C" __global__ void step_transpose(const int *in, int *out) {
  __shared__ STEP int tile[32][33];
  int lane = threadIdx.x;
  in += blockIdx.x * 1024, out += blockIdx.x * 1024;
  for (int row = 0; row < 32; row++) tile[row][lane] = in[row * 32 + lane];
  ORDER
  for (int row = 0; row < 32; row++) out[row * 32 + lane] = tile[lane][row];
}

/* Each lane takes its neighbour's value before that is overwritten, on both sides and through a cross. */
extern "C" __global__ void step_rotate(int rounds, const int *in, int *out) {
  __shared__ STEP int s[64];
  int lane = threadIdx.x & 31;
  STEP int *row = s + (threadIdx.x & 32);
  row[lane] = in[threadIdx.x];
  ORDER
  for (int k = 0; k < rounds; k++) {
    row[lane] = row[(lane + 31) & 31] * 3;
    ORDER
    row[lane] = row[(lane + 1) & 31] + k;
    ORDER
    row[lane] ^= row[lane ^ 5];
    ORDER
  }
  out[threadIdx.x] = row[lane];
}

/* All lanes clear what others then fill: the later store stays. */
extern "C" __global__ void step_clear(const int *in, int *out) {
  __shared__ STEP int s[32];
  int lane = threadIdx.x;
  s[31 - lane] = -1;
  ORDER
  if (in[lane] > 0) s[lane] = in[lane];
  __syncthreads();
  out[lane] = s[lane];
}

/* Bitonic sort by one warp of 64 numbers, two to a lane. */
extern "C" __global__ void step_sort(int *data) {
  __shared__ STEP int s[64];
  int lane = threadIdx.x;
  s[lane] = data[lane];
  s[lane + 32] = data[lane + 32];
  ORDER
  for (int size = 2; size <= 64; size *= 2)
    for (int stride = size / 2; stride > 0; stride /= 2) {
      int low = 2 * lane - (lane & (stride - 1)), high = low + stride;
      bool up = (low & size) == 0;
      int a = s[low], b = s[high];
      if ((a > b) == up) {
        s[low] = b;
        s[high] = a;
      }
      ORDER
    }
  data[lane] = s[lane];
  data[lane + 32] = s[lane + 32];
}

/* Half of the lanes exchange values among themselves, inside a branch that the others do not take. */
extern "C" __global__ void step_parted(const int *in, int *out) {
  __shared__ STEP int s[32];
  int lane = threadIdx.x, value = in[lane];
  if (value & 1) {
    s[lane] = value;
    ORDER
    for (int other = 31; other >= 0; other--)
      if (in[other] & 1) value = value * 5 + s[other];
  } else
    value = -value;
  out[lane] = value;
}

/* Blocks of 8 by 8: a warp has four rows. */
extern "C" __global__ void step_square(const int *in, int *out) {
  __shared__ STEP int s[8][8];
  int x = threadIdx.x, y = threadIdx.y;
  s[y][x] = in[y * 8 + x];
  ORDER
  s[y][x] += s[y ^ 3][x ^ 7];
  ORDER
  s[y][x] += s[y ^ 1][7 - x];
  ORDER
  out[y * 8 + x] = s[y][x];
}

/* Through a structure and a function of its own, by generic addresses. */
struct Row {
  STEP int *words;
};
__device__ __noinline__ int from_right(Row row, int lane) {
  row.words[lane] *= 2;
  ORDER
  return row.words[(lane + 1) & 31];
}
extern "C" __global__ void step_called(const int *in, int *out) {
  __shared__ STEP int s[32];
  Row row = {s};
  int lane = threadIdx.x;
  row.words[lane] = in[lane];
  ORDER
  out[lane] = from_right(row, lane) + row.words[lane ^ 16];
}

/* The same in global memory: a row of one array is rotated in place. */
extern "C" __global__ void step_global(STEP int *data) {
  int lane = threadIdx.x;
  data[lane] = data[(lane + 31) & 31];
  ORDER
  data[lane] += data[lane ^ 1];
}
