/* Whole computations in floating point. Compiled twice: exact by default, and with -use_fast_math. */

/* One step of softened gravity over tiles of bodies (x, y, z, mass); writes accelerations. */
extern "C" __global__ void nbody(int n, float softening, const float4 *bodies, float4 *accelerations) {
  extern __shared__ float4 tile[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  float4 me = i < n ? bodies[i] : make_float4(0, 0, 0, 0);
  float ax = 0, ay = 0, az = 0;
  for (int base = 0; base < n; base += blockDim.x) {
    int j = base + threadIdx.x;
    tile[threadIdx.x] = j < n ? bodies[j] : make_float4(0, 0, 0, 0);
    __syncthreads();
    for (int k = 0; k < blockDim.x; k++) {
      float4 other = tile[k];
      float dx = other.x - me.x, dy = other.y - me.y, dz = other.z - me.z;
      float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + softening);
      float s = other.w * inverse * inverse * inverse;
      ax += dx * s;
      ay += dy * s;
      az += dz * s;
    }
    __syncthreads();
  }
  if (i < n) accelerations[i] = make_float4(ax, ay, az, 0);
}

__device__ float normal_cdf(float d) { return 0.5f * erfcf(-d * 0.70710678f); }

/* European options: call and put price for each (spot, strike, years). */
extern "C" __global__ void black_scholes(int n, float rate, float volatility, const float *spot, const float *strike,
                                         const float *years, float *call, float *put) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float root = sqrtf(years[i]);
  float d1 = (logf(spot[i] / strike[i]) + (rate + 0.5f * volatility * volatility) * years[i]) / (volatility * root);
  float d2 = d1 - volatility * root;
  float discount = strike[i] * expf(-rate * years[i]);
  call[i] = spot[i] * normal_cdf(d1) - discount * normal_cdf(d2);
  put[i] = discount * normal_cdf(-d2) - spot[i] * normal_cdf(-d1);
}

/* Escape counts of the Mandelbrot set in double precision: divergent loops with an exact answer. */
extern "C" __global__ void mandelbrot(int width, int height, int limit, double scale, int *counts) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;
  double cr = __dsub_rn(__dmul_rn((double)x, scale), 2.0), ci = __dsub_rn(__dmul_rn((double)y, scale), 1.25);
  double zr = 0, zi = 0;
  int count = 0;
  while (count < limit) {
    double rr = __dmul_rn(zr, zr), ii = __dmul_rn(zi, zi);
    if (__dadd_rn(rr, ii) > 4.0) break;
    zi = __dadd_rn(__dmul_rn(__dmul_rn(2.0, zr), zi), ci);
    zr = __dadd_rn(__dsub_rn(rr, ii), cr);
    count++;
  }
  counts[y * width + x] = count;
}
