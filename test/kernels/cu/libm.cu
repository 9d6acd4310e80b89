/* The mathematical functions of the device library over arrays, in both precisions. The order is the reference's order. */

#define FUNCTIONS 22

extern "C" __global__ void libm_f32(int n, const float *x, const float *y, float *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = x[i], b = y[i];
  float *o = out + (size_t)i * FUNCTIONS;
  o[0] = sinf(a);
  o[1] = cosf(a);
  o[2] = tanf(a);
  o[3] = expf(a);
  o[4] = logf(a);
  o[5] = powf(a, b);
  o[6] = sqrtf(a);
  o[7] = rsqrtf(a);
  o[8] = cbrtf(a);
  o[9] = atan2f(a, b);
  o[10] = tanhf(a);
  o[11] = erff(a);
  o[12] = asinf(a);
  o[13] = sinhf(a);
  o[14] = log1pf(a);
  o[15] = expm1f(a);
  o[16] = hypotf(a, b);
  o[17] = fmodf(a, b);
  o[18] = floorf(a) + ceilf(b);
  o[19] = truncf(a) + rintf(b);
  o[20] = exp2f(a);
  o[21] = log10f(a);
}

extern "C" __global__ void libm_f64(int n, const double *x, const double *y, double *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double a = x[i], b = y[i];
  double *o = out + (size_t)i * FUNCTIONS;
  o[0] = sin(a);
  o[1] = cos(a);
  o[2] = tan(a);
  o[3] = exp(a);
  o[4] = log(a);
  o[5] = pow(a, b);
  o[6] = sqrt(a);
  o[7] = rsqrt(a);
  o[8] = cbrt(a);
  o[9] = atan2(a, b);
  o[10] = tanh(a);
  o[11] = erf(a);
  o[12] = asin(a);
  o[13] = sinh(a);
  o[14] = log1p(a);
  o[15] = expm1(a);
  o[16] = hypot(a, b);
  o[17] = fmod(a, b);
  o[18] = floor(a) + ceil(b);
  o[19] = trunc(a) + rint(b);
  o[20] = exp2(a);
  o[21] = log10(a);
}
