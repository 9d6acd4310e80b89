/*
 * A digit classifier of two layers: 784 inputs, HIDDEN units with ReLU, 10 classes with softmax. Weights are row-major by
 * input, with one more row for the bias. Images stay bytes on the device; `order` names the images of a batch.
 */

#define INPUTS 784
#define HIDDEN 64
#define CLASSES 10

/* Tiles of the two large products: 32 x 32 results by 8 x 8 threads of 4 x 4 results each, 16 terms at a time. */
#define TILE 32
#define DEPTH 16

struct Tiles {
  float4 left[DEPTH][TILE / 4];
  float4 right[DEPTH][TILE / 4];
};

__device__ __forceinline__ void add_products(const Tiles &tiles, int x, int y, float sums[4][4]) {
#pragma unroll 4
  for (int k = 0; k < DEPTH; k++) {
    float4 l = tiles.left[k][y], r = tiles.right[k][x];
    sums[0][0] += l.x * r.x; sums[0][1] += l.x * r.y; sums[0][2] += l.x * r.z; sums[0][3] += l.x * r.w;
    sums[1][0] += l.y * r.x; sums[1][1] += l.y * r.y; sums[1][2] += l.y * r.z; sums[1][3] += l.y * r.w;
    sums[2][0] += l.z * r.x; sums[2][1] += l.z * r.y; sums[2][2] += l.z * r.z; sums[2][3] += l.z * r.w;
    sums[3][0] += l.w * r.x; sums[3][1] += l.w * r.y; sums[3][2] += l.w * r.z; sums[3][3] += l.w * r.w;
  }
}

/* Eight pixels from one 8-byte load. */
__device__ __forceinline__ void load_pixels(const unsigned char *at, float pixels[8]) {
  uint2 words = *(const uint2 *)at;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    pixels[k] = ((words.x >> (8 * k)) & 255) * (1.0f / 255);
    pixels[k + 4] = ((words.y >> (8 * k)) & 255) * (1.0f / 255);
  }
}

/* hidden = relu(images * weights + bias). Grid: (HIDDEN / 32, ceil(count / 32)), block (8, 8). */
extern "C" __global__ void hidden_forward(int count, const unsigned char *images, const unsigned *order,
                                          const float *weights, float *hidden) {
  __shared__ Tiles tiles;
  int thread = threadIdx.y * 8 + threadIdx.x;
  int column = blockIdx.x * TILE, row = blockIdx.y * TILE;
  int image = row + thread / 2, first = (thread & 1) * 8;
  const unsigned char *pixels = images + (size_t)order[min(image, count - 1)] * INPUTS + first;
  const float *right = weights + (thread / 4) * HIDDEN + column + (thread & 3) * 8;
  float sums[4][4] = {};
  for (int base = 0; base < INPUTS; base += DEPTH) {
    float values[8];
    load_pixels(pixels + base, values);
#pragma unroll
    for (int k = 0; k < 8; k++) ((float *)tiles.left[first + k])[thread / 2] = values[k];
    const float4 *from = (const float4 *)(right + base * HIDDEN);
    tiles.right[thread / 4][(thread & 3) * 2] = from[0];
    tiles.right[thread / 4][(thread & 3) * 2 + 1] = from[1];
    __syncthreads();
    add_products(tiles, threadIdx.x, threadIdx.y, sums);
    __syncthreads();
  }
  const float *bias = weights + INPUTS * HIDDEN + column + threadIdx.x * 4;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int b = row + threadIdx.y * 4 + i;
    if (b < count) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float value = sums[i][j] + bias[j];
        hidden[b * HIDDEN + column + threadIdx.x * 4 + j] = value > 0 ? value : 0;
      }
    }
  }
}

/*
 * One thread per image: logits, softmax, cross-entropy and the guess. Adds the loss and the right guesses to metrics[0] and
 * [1]; where `errors` is given, writes the gradient of the mean loss by the logits. Block: a multiple of 32.
 */
extern "C" __global__ void output_forward(int count, const float *hidden, const float *weights,
                                          const unsigned char *labels, const unsigned *order, float *errors,
                                          float *metrics) {
  int b = blockIdx.x * blockDim.x + threadIdx.x;
  float loss = 0, right = 0;
  if (b < count) {
    float logits[CLASSES];
#pragma unroll
    for (int c = 0; c < CLASSES; c++) logits[c] = weights[HIDDEN * CLASSES + c];
    for (int j = 0; j < HIDDEN; j++) {
      float h = hidden[b * HIDDEN + j];
#pragma unroll
      for (int c = 0; c < CLASSES; c++) logits[c] += h * weights[j * CLASSES + c];
    }
    int label = labels[order[b]], guess = 0;
    float largest = logits[0], wanted = 0, sum = 0;
#pragma unroll
    for (int c = 0; c < CLASSES; c++) {
      if (logits[c] > largest) {
        largest = logits[c];
        guess = c;
      }
      if (c == label) wanted = logits[c];
    }
#pragma unroll
    for (int c = 0; c < CLASSES; c++) sum += expf(logits[c] - largest);
    loss = logf(sum) + largest - wanted;
    right = guess == label ? 1 : 0;
    if (errors) {
#pragma unroll
      for (int c = 0; c < CLASSES; c++)
        errors[b * CLASSES + c] = (expf(logits[c] - largest) / sum - (c == label ? 1 : 0)) / count;
    }
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) {
    loss += __shfl_down_sync(0xffffffff, loss, offset);
    right += __shfl_down_sync(0xffffffff, right, offset);
  }
  if ((threadIdx.x & 31) == 0) {
    atomicAdd(&metrics[0], loss);
    atomicAdd(&metrics[1], right);
  }
}

/* The hidden layer's error: one thread per image and unit. */
extern "C" __global__ void hidden_backward(int count, const float *hidden, const float *weights, const float *errors,
                                           float *hidden_errors) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count * HIDDEN) return;
  const float *e = errors + i / HIDDEN * CLASSES, *w = weights + i % HIDDEN * CLASSES;
  float sum = 0;
#pragma unroll
  for (int c = 0; c < CLASSES; c++) sum += e[c] * w[c];
  hidden_errors[i] = hidden[i] > 0 ? sum : 0;
}

__device__ __forceinline__ void step(float *weight, float *velocity, float gradient, float rate, float momentum) {
  float v = momentum * *velocity + gradient;
  *velocity = v;
  *weight -= rate * v;
}

/* Gradient of the output weights (the last row is the bias) and one step of momentum: one thread per weight. */
extern "C" __global__ void output_update(int count, const float *hidden, const float *errors, float *weights,
                                         float *velocities, float rate, float momentum) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= (HIDDEN + 1) * CLASSES) return;
  int j = i / CLASSES, c = i % CLASSES;
  float gradient = 0;
  if (j < HIDDEN)
    for (int b = 0; b < count; b++) gradient += hidden[b * HIDDEN + j] * errors[b * CLASSES + c];
  else
    for (int b = 0; b < count; b++) gradient += errors[b * CLASSES + c];
  step(&weights[i], &velocities[i], gradient, rate, momentum);
}

/*
 * The same for the hidden weights: images^T * hidden_errors, where the bias is an input that is always 1.
 * Grid: (HIDDEN / 32, ceil((INPUTS + 1) / 32)), block (8, 8).
 */
extern "C" __global__ void hidden_update(int count, const unsigned char *images, const unsigned *order,
                                         const float *hidden_errors, float *weights, float *velocities, float rate,
                                         float momentum) {
  __shared__ Tiles tiles;
  int thread = threadIdx.y * 8 + threadIdx.x;
  int column = blockIdx.x * TILE, row = blockIdx.y * TILE;
  int line = thread / 4, part = thread & 3, input = row + part * 8;
  float sums[4][4] = {};
  for (int base = 0; base < count; base += DEPTH) {
    int b = base + line;
    float values[8] = {input == INPUTS ? 1.0f : 0.0f};
    float4 first = make_float4(0, 0, 0, 0), second = first;
    if (b < count) {
      if (input < INPUTS) load_pixels(images + (size_t)order[b] * INPUTS + input, values);
      const float4 *from = (const float4 *)(hidden_errors + b * HIDDEN + column + part * 8);
      first = from[0];
      second = from[1];
    }
    tiles.left[line][part * 2] = make_float4(values[0], values[1], values[2], values[3]);
    tiles.left[line][part * 2 + 1] = make_float4(values[4], values[5], values[6], values[7]);
    tiles.right[line][part * 2] = first;
    tiles.right[line][part * 2 + 1] = second;
    __syncthreads();
    add_products(tiles, threadIdx.x, threadIdx.y, sums);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    int r = row + threadIdx.y * 4 + i;
    if (r <= INPUTS) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int at = r * HIDDEN + column + threadIdx.x * 4 + j;
        step(&weights[at], &velocities[at], sums[i][j], rate, momentum);
      }
    }
  }
}
