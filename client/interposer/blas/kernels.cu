/*
 * The kernels of libcublas, for what is no matrix product of the wire: vectors, rank-one updates, triangular systems, complex products. Types are read
 * at run time, and but for complex f32 products all is computed in f64, since memory is what it waits for. kernels.ptx is made of it by `make ptx`,
 * which says how, and is what the library carries.
 */
#include "kernels.h"

typedef unsigned short half_bits;

template <typename real> struct number {
    real re, im;
};
typedef number<double> value;

__device__ static value times(value a, value b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
__device__ static value plus(value a, value b) { return {a.re + b.re, a.im + b.im}; }
__device__ static bool is_zero(value a) { return a.re == 0 && a.im == 0; }

/* By cudaDataType: 0 f32, 1 f64, 2 f16, 4 complex f32, 5 complex f64, 14 bf16. */
__device__ static value load(uint64_t base, int64_t index, int type) {
    switch (type) {
    case 0: return {((const float *)base)[index], 0};
    case 1: return {((const double *)base)[index], 0};
    case 4: return {((const float *)base)[2 * index], ((const float *)base)[2 * index + 1]};
    case 5: return {((const double *)base)[2 * index], ((const double *)base)[2 * index + 1]};
    case 14: return {__uint_as_float((unsigned)((const half_bits *)base)[index] << 16), 0};
    default: {
        float single;
        asm("cvt.f32.f16 %0, %1;" : "=f"(single) : "h"(((const half_bits *)base)[index]));
        return {single, 0};
    }
    }
}

__device__ static half_bits bf16_of(float single) {
    unsigned bits = __float_as_uint(single);
    return single != single ? 0x7fc0 : (half_bits)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* 10 i32, 24 i64 for places. */
__device__ static void store(uint64_t base, int64_t index, int type, value v) {
    switch (type) {
    case 0: ((float *)base)[index] = (float)v.re; return;
    case 1: ((double *)base)[index] = v.re; return;
    case 4: ((float *)base)[2 * index] = (float)v.re, ((float *)base)[2 * index + 1] = (float)v.im; return;
    case 5: ((double *)base)[2 * index] = v.re, ((double *)base)[2 * index + 1] = v.im; return;
    case 10: ((int *)base)[index] = (int)v.re; return;
    case 24: ((long long *)base)[index] = (long long)v.re; return;
    case 14: ((half_bits *)base)[index] = bf16_of((float)v.re); return;
    default: {
        half_bits bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"((float)v.re));
        ((half_bits *)base)[index] = bits;
    }
    }
}

__device__ static value factor(const blas_factor &f) {
    value v = f.address != 0 ? load(f.address, 0, f.type) : value{f.real, f.imaginary};
    if (f.is_conjugated) v.im = -v.im;
    return v;
}

/* The operand's matrix of the batch. */
__device__ static blas_operand of_batch(blas_operand o, int64_t batch) {
    if (o.flags & BLAS_IS_TABLE) o.address = ((const uint64_t *)o.address)[batch], o.batch = 0;
    return o;
}

__device__ static value at(const blas_operand &o, int64_t row, int64_t column, int64_t batch = 0) {
    value v = load(o.address, row * o.row + column * o.column + batch * o.batch, o.type);
    if (o.flags & BLAS_CONJUGATED) v.im = -v.im;
    return v;
}

/* The same of a factor, of which a triangle may stand for the whole. */
__device__ static value at_shaped(const blas_operand &o, int64_t row, int64_t column, int64_t batch) {
    if (!(o.flags & (BLAS_IN_UPPER | BLAS_IN_LOWER))) return at(o, row, column, batch);
    bool is_other = o.flags & BLAS_IN_UPPER ? row > column : row < column;
    if (o.flags & BLAS_IS_TRIANGULAR) {
        if (is_other) return {0, 0};
        return row == column && (o.flags & BLAS_IS_UNIT) ? value{1, 0} : at(o, row, column, batch);
    }
    value v = is_other ? at(o, column, row, batch) : at(o, row, column, batch);
    if (o.flags & BLAS_IS_HERMITIAN) v.im = row == column ? 0 : is_other ? -v.im : v.im;
    return v;
}

__device__ static void put(const blas_operand &o, int64_t row, int64_t column, int64_t batch, value v) {
    store(o.address, row * o.row + column * o.column + batch * o.batch, o.type, v);
}

extern "C" __global__ void blas_update(const blas_update u) {
    value alpha = factor(u.alpha), beta = factor(u.beta);
    bool adds = u.y.address != 0 && !(u.skips && is_zero(beta)), multiplies = !(u.skips && is_zero(alpha));
    for (int64_t j = blockIdx.y; j < u.columns; j += gridDim.y)
        for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < u.rows; i += (int64_t)gridDim.x * blockDim.x) {
            if ((u.part == BLAS_UPPER && i > j) || (u.part == BLAS_LOWER && i < j)) continue;
            value v = {0, 0};
            if (multiplies) {
                v = times(alpha, at(u.x, i, j));
                if (u.z.address != 0) v = times(v, at(u.z, i, j));
            }
            if (adds) v = plus(v, times(beta, at(u.y, i, j)));
            put(u.to, i, j, 0, v);
        }
}

extern "C" __global__ void blas_rotate(const blas_rotation r) {
    value c = {0, 0}, s = {0, 0};
    if (!r.is_swap) c = factor(r.c), s = factor(r.s);
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < r.count; i += (int64_t)gridDim.x * blockDim.x) {
        value x = at(r.x, i, 0), y = at(r.y, i, 0);
        value to_x = r.is_swap ? y : plus(times(c, x), times(s, y));
        value to_y = r.is_swap ? x : plus(times(c, y), times(value{-s.re, s.im}, x));
        put(r.x, i, 0, 0, to_x);
        put(r.y, i, 0, 0, to_y);
    }
}

/* A part of a reduction: sums, or the largest (smallest) number and its place, counted from 1; 0 for none. */
struct part {
    double sums[3];
    long long place;
};

/* Squares beyond these bounds are summed apart, scaled, so that none over- or underflows (J. L. Blue). */
#define LARGE 0x1p486
#define SMALL 0x1p-511
#define LARGE_SCALE 0x1p-538
#define SMALL_SCALE 0x1p537

__device__ static void add_square(part &p, double x) {
    double size = fabs(x);
    if (size > LARGE) p.sums[1] += (x * LARGE_SCALE) * (x * LARGE_SCALE);
    else if (size < SMALL) p.sums[2] += (x * SMALL_SCALE) * (x * SMALL_SCALE);
    else p.sums[0] += x * x;
}

__device__ static double root(const part &p) {
    if (p.sums[1] > 0) return sqrt(p.sums[1] + (p.sums[0] * LARGE_SCALE) * LARGE_SCALE) / LARGE_SCALE;
    if (!(p.sums[2] > 0)) return sqrt(p.sums[0]);
    double middle = sqrt(p.sums[0]), small = sqrt(p.sums[2]) / SMALL_SCALE;
    if (!(middle > 0)) return middle != middle ? middle : small;
    double least = middle < small ? middle : small, most = middle < small ? small : middle, ratio = least / most;
    return most * sqrt(1 + ratio * ratio);
}

__device__ static void merge(part &into, const part &other, int kind) {
    if (kind < BLAS_AMAX) {
        for (int i = 0; i < 3; i++) into.sums[i] += other.sums[i];
        return;
    }
    if (other.place == 0) return;
    bool is_better = kind == BLAS_AMAX ? other.sums[0] > into.sums[0] : other.sums[0] < into.sums[0];
    bool is_earlier = other.place < into.place && !(into.sums[0] != other.sums[0]);
    if (into.place == 0 || is_better || is_earlier || (into.sums[0] != into.sums[0] && other.sums[0] == other.sums[0])) into = other;
}

__device__ static void add(part &p, const blas_reduction &r, int64_t i) {
    value x = at(r.x, i, 0);
    if (r.kind == BLAS_DOT) {
        value v = times(x, at(r.y, i, 0));
        p.sums[0] += v.re, p.sums[1] += v.im;
    } else if (r.kind == BLAS_NRM2) {
        add_square(p, x.re);
        if (x.im != 0) add_square(p, x.im);
    } else {
        double size = fabs(x.re) + fabs(x.im);
        if (r.kind == BLAS_ASUM) p.sums[0] += size;
        else merge(p, part{{size, 0, 0}, i + 1}, r.kind);
    }
}

__device__ static void tell(const blas_reduction &r, const part &p) {
    value v = {p.sums[0], p.sums[1]};
    if (r.kind == BLAS_NRM2) v = {root(p), 0};
    if (r.kind >= BLAS_AMAX) v = {(double)p.place, 0};
    store(r.result, 0, r.result_type, v);
}

/* Leaves in the first thread what all threads of the block have. */
__device__ static void gather(part &mine, int kind) {
    __shared__ part parts[256];
    parts[threadIdx.x] = mine;
    for (unsigned half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half && threadIdx.x + half < blockDim.x) merge(parts[threadIdx.x], parts[threadIdx.x + half], kind);
    }
    mine = parts[threadIdx.x];
}

/* Blocks of at most 256 threads. */
extern "C" __global__ void blas_reduce(const blas_reduction r) {
    part mine = {{0, 0, 0}, 0};
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < r.count; i += (int64_t)gridDim.x * blockDim.x) add(mine, r, i);
    gather(mine, r.kind);
    if (threadIdx.x != 0) return;
    if (gridDim.x == 1) tell(r, mine);
    else ((part *)r.parts)[blockIdx.x] = mine;
}

extern "C" __global__ void blas_finish(const blas_reduction r) {
    part mine = {{0, 0, 0}, 0};
    for (int i = threadIdx.x; i < r.part_count; i += blockDim.x) merge(mine, ((const part *)r.parts)[i], r.kind);
    gather(mine, r.kind);
    if (threadIdx.x == 0) tell(r, mine);
}

/*
 * Row by row of T in blocks of as many as there are threads: what the rows before have to do with a block comes off first, each thread its own row,
 * then the block is solved in shared memory. An upper triangle is gone through from its end.
 */
extern "C" __global__ void blas_solve(const blas_solution s) {
    __shared__ value solved[BLAS_SOLUTION_THREADS];
    int64_t column = blockIdx.x, batch = blockIdx.y;
    blas_operand t = of_batch(s.t, batch), x = of_batch(s.x, batch);
    value alpha = factor(s.alpha);
    for (int64_t first = 0; first < s.rows; first += BLAS_SOLUTION_THREADS) {
        int64_t row = first + threadIdx.x, here = s.is_upper ? s.rows - 1 - row : row;
        int count = (int)(s.rows - first < BLAS_SOLUTION_THREADS ? s.rows - first : BLAS_SOLUTION_THREADS);
        value v = {0, 0};
        if (row < s.rows) {
            v = is_zero(alpha) ? alpha : times(alpha, at(x, here, column, batch));
            for (int64_t j = 0; j < first; j++) {
                int64_t there = s.is_upper ? s.rows - 1 - j : j;
                value less = times(at(t, here, there, batch), at(x, there, column, batch));
                v.re -= less.re, v.im -= less.im;
            }
        }
        for (int j = 0; j < count; j++) {
            if ((int)threadIdx.x == j) {
                if (!s.is_unit) {
                    value d = at(t, here, here, batch);
                    double size = d.re * d.re + d.im * d.im;
                    if (d.im == 0) v.re /= d.re, v.im /= d.re;
                    else v = {(v.re * d.re + v.im * d.im) / size, (v.im * d.re - v.re * d.im) / size};
                }
                put(x, here, column, batch, v);
                /* As the rows behind will read it. */
                solved[j] = v;
            }
            __syncthreads();
            if ((int)threadIdx.x > j && row < s.rows) {
                int64_t there = s.is_upper ? s.rows - 1 - (first + j) : first + j;
                value less = times(at(t, here, there, batch), solved[j]);
                v.re -= less.re, v.im -= less.im;
            }
        }
        __syncthreads();
    }
}

template <typename real> __device__ static void multiply(const blas_multiplication &w) {
    __shared__ number<real> of_a[BLAS_TILE][BLAS_TILE + 1], of_b[BLAS_TILE][BLAS_TILE + 1];
    int64_t batch = blockIdx.z, tx = threadIdx.x, ty = threadIdx.y;
    blas_operand a = of_batch(w.a, batch), b = of_batch(w.b, batch), c = of_batch(w.c, batch);
    value alpha = factor(w.alpha), beta = factor(w.beta);
    for (int64_t column = (int64_t)blockIdx.y * BLAS_TILE; column < w.n; column += (int64_t)gridDim.y * BLAS_TILE) {
        int64_t i = (int64_t)blockIdx.x * BLAS_TILE + tx, j = column + ty;
        number<real> sum = {0, 0};
        for (int64_t p = 0; p < w.k; p += BLAS_TILE) {
            value va = {0, 0}, vb = {0, 0};
            if (i < w.m && p + ty < w.k) va = at_shaped(a, i, p + ty, batch);
            if (j < w.n && p + tx < w.k) vb = at_shaped(b, p + tx, j, batch);
            of_a[ty][tx] = {(real)va.re, (real)va.im};
            of_b[ty][tx] = {(real)vb.re, (real)vb.im};
            __syncthreads();
            for (int q = 0; q < BLAS_TILE; q++) {
                number<real> x = of_a[q][tx], y = of_b[ty][q];
                sum.re += x.re * y.re - x.im * y.im;
                sum.im += x.re * y.im + x.im * y.re;
            }
            __syncthreads();
        }
        if (i >= w.m || j >= w.n || (w.part == BLAS_UPPER && i > j) || (w.part == BLAS_LOWER && i < j)) continue;
        value v = times(alpha, value{sum.re, sum.im});
        if (!is_zero(beta)) v = plus(v, times(beta, at(c, i, j, batch)));
        put(c, i, j, batch, v);
    }
}

extern "C" __global__ void blas_multiply_f32(const blas_multiplication w) { multiply<float>(w); }
extern "C" __global__ void blas_multiply_f64(const blas_multiplication w) { multiply<double>(w); }
