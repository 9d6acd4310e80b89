/* y = a * x + y: the smallest kernel that computes something. Compiled by `npx tsx test/kernels/compile.ts`. */
extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
