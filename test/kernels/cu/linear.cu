/* Kernels without cooperation beyond tiles: vectors, matrices, three-dimensional grids. */

extern "C" __global__ void vector_add(int n, const float *a, const float *b, float *c) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}

extern "C" __global__ void vector_add_int(int n, const int *a, const int *b, int *c) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) c[i] = a[i] + b[i];
}

extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}

extern "C" __global__ void daxpy(int n, double a, const double *x, double *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}

/* One thread handles four elements by vector loads; the last thread of the last block handles the rest one by one. */
extern "C" __global__ void scale_float4(int n, float factor, const float4 *x, float4 *y) {
  int quads = n / 4;
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < quads) {
    float4 v = x[i];
    y[i] = make_float4(v.w * factor, v.z * factor, v.y * factor, v.x * factor);
  }
  if (i == quads) {
    const float *tail = (const float *)(x + quads);
    float *out = (float *)(y + quads);
    for (int k = 0; k < n - quads * 4; k++) out[k] = tail[k] * factor;
  }
}

/* Vector loads of the other widths. */
extern "C" __global__ void shuffle_vectors(int n, const uchar4 *bytes, const ushort2 *halves, const ulonglong2 *words,
                                           uchar4 *bytes_out, ushort2 *halves_out, ulonglong2 *words_out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  uchar4 b = bytes[i];
  bytes_out[i] = make_uchar4(b.w, b.x + 1, b.z, b.y ^ 0x5a);
  ushort2 h = halves[i];
  halves_out[i] = make_ushort2(h.y, h.x + 7);
  ulonglong2 w = words[i];
  words_out[i] = make_ulonglong2(w.y * 3, w.x - 1);
}

#define TILE 16

/* C = A * B with row-major A (m x k), B (k x n), C (m x n); any sizes. */
extern "C" __global__ void matmul(int m, int n, int k, const float *a, const float *b, float *c) {
  __shared__ float tile_a[TILE][TILE];
  __shared__ float tile_b[TILE][TILE];
  int column = blockIdx.x * TILE + threadIdx.x;
  int row = blockIdx.y * TILE + threadIdx.y;
  float sum = 0;
  for (int base = 0; base < k; base += TILE) {
    int ka = base + threadIdx.x;
    int kb = base + threadIdx.y;
    tile_a[threadIdx.y][threadIdx.x] = row < m && ka < k ? a[row * k + ka] : 0.0f;
    tile_b[threadIdx.y][threadIdx.x] = kb < k && column < n ? b[kb * n + column] : 0.0f;
    __syncthreads();
    for (int i = 0; i < TILE; i++) sum += tile_a[threadIdx.y][i] * tile_b[i][threadIdx.x];
    __syncthreads();
  }
  if (row < m && column < n) c[row * n + column] = sum;
}

/* Tiles of 32 x 32 moved by 32 x 8 threads, padded against bank conflicts. */
extern "C" __global__ void transpose(int width, int height, const unsigned *in, unsigned *out) {
  __shared__ unsigned tile[32][33];
  int x = blockIdx.x * 32 + threadIdx.x;
  int y = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (x < width && y + j < height) tile[threadIdx.y + j][threadIdx.x] = in[(y + j) * width + x];
  __syncthreads();
  x = blockIdx.y * 32 + threadIdx.x;
  y = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8)
    if (x < height && y + j < width) out[(y + j) * height + x] = tile[threadIdx.x][threadIdx.y + j];
}

/* Each thread of a 3-D grid of 3-D blocks writes all it knows about its place. */
extern "C" __global__ void places(unsigned *out) {
  unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  unsigned lane, warp;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  asm volatile("mov.u32 %0, %%warpid;" : "=r"(warp));
  unsigned *p = out + (block * threads + thread) * 16;
  p[0] = threadIdx.x;
  p[1] = threadIdx.y;
  p[2] = threadIdx.z;
  p[3] = blockIdx.x;
  p[4] = blockIdx.y;
  p[5] = blockIdx.z;
  p[6] = blockDim.x;
  p[7] = blockDim.y;
  p[8] = blockDim.z;
  p[9] = gridDim.x;
  p[10] = gridDim.y;
  p[11] = gridDim.z;
  p[12] = lane;
  p[13] = warpSize;
  p[14] = thread;
  p[15] = warp;
}

extern "C" __global__ void empty() {}
