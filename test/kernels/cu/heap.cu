/* Memory that kernels allocate by themselves: lists over several launches, objects, and a heap that runs out. */
#include <cstdint>
#include <cstdlib>

struct Node {
  int value;
  Node *next;
};

/* Each thread makes a list of `length` nodes, the last made first; its head goes to heads[i]. */
extern "C" __global__ void lists_make(Node **heads, int length) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  Node *head = nullptr;
  for (int k = 0; k < length; k++) {
    Node *node = (Node *)malloc(sizeof(Node));
    if (node == nullptr) return;
    node->value = i * 1000 + k;
    node->next = head;
    head = node;
  }
  heads[i] = head;
}

/* out[i]: the alternating sum of list i, from its head. */
extern "C" __global__ void lists_sum(Node *const *heads, long long *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  long long sum = 0;
  int sign = 1;
  for (Node *node = heads[i]; node != nullptr; node = node->next, sign = -sign) sum += sign * (long long)node->value;
  out[i] = sum;
}

/* Gives back every list, in another order of threads than it was made. */
extern "C" __global__ void lists_drop(Node **heads, int count) {
  int i = count - 1 - (int)(blockIdx.x * blockDim.x + threadIdx.x);
  for (Node *node = heads[i]; node != nullptr;) {
    Node *next = node->next;
    free(node);
    node = next;
  }
  heads[i] = nullptr;
}

struct Shape {
  int sides;
  __device__ explicit Shape(int n) : sides(n) {}
  __device__ virtual int area() const = 0;
  __device__ virtual ~Shape() { sides = 0; }
};

struct Box : Shape {
  int a, b;
  __device__ Box(int x, int y) : Shape(4), a(x), b(y) {}
  __device__ int area() const override { return a * b; }
};

struct Triangle : Shape {
  int *legs;
  __device__ Triangle(int x, int y) : Shape(3), legs(new int[2]) { legs[0] = x; legs[1] = y; }
  __device__ int area() const override { return legs[0] * legs[1] / 2; }
  __device__ ~Triangle() override { delete[] legs; }
};

/* Objects by `new`, behind pointers to their base. */
extern "C" __global__ void objects(int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  Shape *shape = i % 3 == 0 ? (Shape *)new Triangle(i, i + 2) : (Shape *)new Box(i, 3);
  out[i] = shape->area() * 10 + shape->sides;
  delete shape;
}

/* Pieces of growing sizes, all live at once: out[i] counts bytes that another thread has overwritten, and pieces not aligned to 16. */
extern "C" __global__ void pieces(int *out, int rounds) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned char *kept[8];
  int bad = 0;
  for (int round = 0; round < rounds; round++) {
    for (int k = 0; k < 8; k++) {
      int size = 1 + (i * 7 + k * 31 + round * 13) % 300;
      kept[k] = (unsigned char *)malloc(size);
      if (kept[k] == nullptr || (uintptr_t)kept[k] % 16 != 0) {
        out[i] = -1;
        return;
      }
      for (int at = 0; at < size; at++) kept[k][at] = (unsigned char)(i + k);
    }
    __syncthreads();
    for (int k = 0; k < 8; k++) {
      int size = 1 + (i * 7 + k * 31 + round * 13) % 300;
      for (int at = 0; at < size; at++) bad += kept[k][at] != (unsigned char)(i + k);
    }
    for (int k = 0; k < 8; k++) free(kept[(k * 3 + i) % 8]);
    __syncthreads();
  }
  out[i] = bad;
}

/* out[r]: how many pieces of `size` bytes there were in round r before the first that was not; all are given back after each round. */
extern "C" __global__ void exhaust(int *out, size_t size, int rounds) {
  for (int round = 0; round < rounds; round++) {
    void **last = nullptr;
    int count = 0;
    for (;;) {
      void **piece = (void **)malloc(size);
      if (piece == nullptr) break;
      *piece = (void *)last;
      last = piece;
      count++;
    }
    while (last != nullptr) {
      void **next = (void **)*last;
      free(last);
      last = next;
    }
    out[round] = count;
  }
}

struct alignas(256) Wide {
  int values[64];
  int more[64];
};

/* What is aligned beyond 16 bytes: out[i] is the remainder of its address, and whether its values stay its own. */
extern "C" __global__ void aligned(int *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  Wide *wide = new Wide;
  for (int k = 0; k < 64; k++) wide->values[k] = i + k;
  __syncthreads();
  int sum = 0;
  for (int k = 0; k < 64; k++) sum += wide->values[k] - i;
  out[i] = (int)((uintptr_t)wide % 256) * 100000 + sum;
  delete wide;
}
