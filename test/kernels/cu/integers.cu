/* Integer instructions one by one, on triples of operands. The order of the results is the order of the reference's tables. */

#define OP(k, text)                                          \
  {                                                          \
    R r;                                                     \
    asm(text : OUT(r) : IN(a), IN(b), IN(c), "r"(narrow));   \
    o[k] = r;                                                \
  }

/* 32 bits; %4 is the count for instructions that take one. */
#define R unsigned
#define OUT(x) "=r"(x)
#define IN(x) "r"(x)

extern "C" __global__ void integers32(int n, const unsigned *in, unsigned *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2], narrow = c & 31;
  unsigned *o = out + (size_t)i * 80;
  OP(0, "add.u32 %0, %1, %2;")
  OP(1, "sub.u32 %0, %1, %2;")
  OP(2, "mul.lo.u32 %0, %1, %2;")
  OP(3, "mul.hi.u32 %0, %1, %2;")
  OP(4, "mul.hi.s32 %0, %1, %2;")
  OP(5, "mad.lo.s32 %0, %1, %2, %3;")
  OP(6, "mad.hi.u32 %0, %1, %2, %3;")
  OP(7, "mad.hi.s32 %0, %1, %2, %3;")
  OP(8, "mad.hi.sat.s32 %0, %1, %2, %3;")
  OP(9, "add.sat.s32 %0, %1, %2;")
  OP(10, "sub.sat.s32 %0, %1, %2;")
  OP(11, "shl.b32 %0, %1, %2;")
  OP(12, "shr.u32 %0, %1, %2;")
  OP(13, "shr.s32 %0, %1, %2;")
  OP(14, "shl.b32 %0, %1, %4;")
  OP(15, "shr.s32 %0, %1, %4;")
  OP(16, "neg.s32 %0, %1;")
  OP(17, "abs.s32 %0, %1;")
  OP(18, "min.u32 %0, %1, %2;")
  OP(19, "max.u32 %0, %1, %2;")
  OP(20, "min.s32 %0, %1, %2;")
  OP(21, "max.s32 %0, %1, %2;")
  OP(22, "and.b32 %0, %1, %2;")
  OP(23, "or.b32 %0, %1, %2;")
  OP(24, "xor.b32 %0, %1, %2;")
  OP(25, "not.b32 %0, %1;")
  OP(26, "cnot.b32 %0, %1;")
  OP(27, "bfe.u32 %0, %1, %2, %3;")
  OP(28, "bfe.s32 %0, %1, %2, %3;")
  OP(29, "bfi.b32 %0, %1, %2, %3, %4;")
  OP(30, "bfind.u32 %0, %1;")
  OP(31, "bfind.s32 %0, %1;")
  OP(32, "bfind.shiftamt.u32 %0, %1;")
  OP(33, "bfind.shiftamt.s32 %0, %1;")
  OP(34, "brev.b32 %0, %1;")
  OP(35, "popc.b32 %0, %1;")
  OP(36, "clz.b32 %0, %1;")
  OP(37, "prmt.b32 %0, %1, %2, %3;")
  OP(38, "prmt.b32.f4e %0, %1, %2, %3;")
  OP(39, "prmt.b32.b4e %0, %1, %2, %3;")
  OP(40, "prmt.b32.rc8 %0, %1, %2, %3;")
  OP(41, "prmt.b32.ecl %0, %1, %2, %3;")
  OP(42, "prmt.b32.ecr %0, %1, %2, %3;")
  OP(43, "prmt.b32.rc16 %0, %1, %2, %3;")
  OP(44, "lop3.b32 %0, %1, %2, %3, 0x1a;")
  OP(45, "lop3.b32 %0, %1, %2, %3, 0x96;")
  OP(46, "lop3.b32 %0, %1, %2, %3, 0xe8;")
  OP(47, "lop3.b32 %0, %1, %2, %3, 0x01;")
  OP(48, "shf.l.clamp.b32 %0, %1, %2, %3;")
  OP(49, "shf.l.wrap.b32 %0, %1, %2, %3;")
  OP(50, "shf.r.clamp.b32 %0, %1, %2, %3;")
  OP(51, "shf.r.wrap.b32 %0, %1, %2, %3;")
  OP(52, "sad.u32 %0, %1, %2, %3;")
  OP(53, "sad.s32 %0, %1, %2, %3;")
  OP(54, "slct.s32.s32 %0, %1, %2, %3;")
  OP(55, "set.lt.u32.s32 %0, %1, %2;")
  OP(56, "set.hs.u32.u32 %0, %1, %2;")
  OP(57, "{ .reg .pred p; setp.le.s32 p, %1, %2; selp.b32 %0, %3, %1, p; }")
  OP(58, "{ .reg .pred p, q; setp.gt.u32 p|q, %1, %2; selp.u32 %0, %3, 1, q; }")
  OP(59, "{ .reg .pred p, q; setp.eq.u32 q, %3, %1; setp.lt.and.s32 p, %1, %2, !q; selp.u32 %0, 1, 0, p; }")
  OP(60, "{ .reg .u32 t; add.cc.u32 t, %1, %2; addc.u32 %0, %3, 0; }")
  OP(61, "{ .reg .u32 t; sub.cc.u32 t, %1, %2; subc.u32 %0, %3, 5; }")
  OP(62, "{ .reg .u32 t; add.cc.u32 t, %1, %2; addc.cc.u32 t, %2, %3; addc.u32 %0, t, %1; }")
  OP(63, "{ .reg .u32 t; sub.cc.u32 t, %1, %2; subc.cc.u32 t, %2, %3; subc.u32 %0, t, %1; }")
  OP(64, "{ .reg .u32 t; mad.lo.cc.u32 t, %1, %2, %3; madc.hi.u32 %0, %1, %2, %3; }")
  OP(65, "{ .reg .u32 t; mad.hi.cc.u32 t, %1, %2, %3; addc.u32 %0, t, 0; }")
  OP(66, "{ .reg .u32 d; max.u32 d, %2, 1; div.u32 %0, %1, d; }")
  OP(67, "{ .reg .u32 d; max.u32 d, %2, 1; rem.u32 %0, %1, d; }")
  /* A zero divisor is guarded by a predicate; the smallest integer by -1 stays. */
  OP(68, "{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.u32 %0, %3; @p div.s32 %0, %1, %2; }")
  OP(69, "{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.u32 %0, %3; @p rem.s32 %0, %1, %2; }")
  /* The result of a division by zero is not specified, but computing it must do no harm. */
  OP(70, "{ .reg .pred p; .reg .u32 t; div.u32 t, %1, %2; setp.ne.u32 p, %2, 0; selp.b32 %0, t, %3, p; }")
  OP(71, "{ .reg .pred p; .reg .u32 t; rem.s32 t, %1, %2; setp.ne.u32 p, %2, 0; selp.b32 %0, t, %3, p; }")
  OP(72, "{ .reg .pred p, q; setp.lt.s32 p, %1, %2; setp.ge.xor.u32 q, %2, %3, p; selp.u32 %0, 7, 9, q; }")
  OP(73, "{ .reg .pred p, q, r; setp.lt.s32 p, %1, %2; setp.lt.s32 q, %2, %3; and.pred r, p, q; or.pred q, p, q; xor.pred p, p, q; not.pred p, p; selp.u32 %0, 4, 0, r; @q add.u32 %0, %0, 2; @!p add.u32 %0, %0, 1; }")
  OP(74, "{ .reg .u16 h, l; mov.b32 {l, h}, %1; mov.b32 %0, {h, l}; }")
  OP(75, "{ .reg .u32 t; .reg .pred p; slct.u32.s32 t, %1, %2, %3; setp.gt.s32 p, t, -1; selp.u32 %0, t, 3, p; }")
  o[76] = a > b ? a - b : b - a;
  o[77] = __byte_perm(a, b, c);
  o[78] = __funnelshift_l(a, b, c);
  o[79] = (unsigned)__hadd((int)a, (int)b);
}

#undef R
#undef OUT
#undef IN
#define R unsigned long long
#define OUT(x) "=l"(x)
#define IN(x) "l"(x)

/* 64 bits; %4 is the low word of c, a count. */
extern "C" __global__ void integers64(int n, const unsigned long long *in, unsigned long long *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2];
  unsigned narrow = (unsigned)c;
  unsigned long long *o = out + (size_t)i * 48;
  OP(0, "add.u64 %0, %1, %2;")
  OP(1, "sub.s64 %0, %1, %2;")
  OP(2, "mul.lo.u64 %0, %1, %2;")
  OP(3, "mul.hi.u64 %0, %1, %2;")
  OP(4, "mul.hi.s64 %0, %1, %2;")
  OP(5, "mad.lo.s64 %0, %1, %2, %3;")
  OP(6, "mad.hi.u64 %0, %1, %2, %3;")
  OP(7, "mad.hi.s64 %0, %1, %2, %3;")
  OP(8, "shl.b64 %0, %1, %4;")
  OP(9, "shr.u64 %0, %1, %4;")
  OP(10, "shr.s64 %0, %1, %4;")
  OP(11, "neg.s64 %0, %1;")
  OP(12, "abs.s64 %0, %1;")
  OP(13, "min.u64 %0, %1, %2;")
  OP(14, "max.u64 %0, %1, %2;")
  OP(15, "min.s64 %0, %1, %2;")
  OP(16, "max.s64 %0, %1, %2;")
  OP(17, "and.b64 %0, %1, %2;")
  OP(18, "or.b64 %0, %1, %2;")
  OP(19, "xor.b64 %0, %1, %2;")
  OP(20, "not.b64 %0, %1;")
  OP(21, "cnot.b64 %0, %1;")
  OP(22, "{ .reg .u32 t; popc.b64 t, %1; cvt.u64.u32 %0, t; }")
  OP(23, "{ .reg .u32 t; clz.b64 t, %1; cvt.u64.u32 %0, t; }")
  OP(24, "brev.b64 %0, %1;")
  OP(25, "bfe.u64 %0, %1, %4, 13;")
  OP(26, "bfe.s64 %0, %1, 9, %4;")
  OP(27, "bfi.b64 %0, %1, %2, %4, 21;")
  OP(28, "{ .reg .u32 t; bfind.u64 t, %1; cvt.u64.u32 %0, t; }")
  OP(29, "{ .reg .u32 t; bfind.s64 t, %1; cvt.u64.u32 %0, t; }")
  OP(30, "{ .reg .u32 t; bfind.shiftamt.s64 t, %1; cvt.u64.u32 %0, t; }")
  OP(31, "sad.u64 %0, %1, %2, %3;")
  OP(32, "sad.s64 %0, %1, %2, %3;")
  OP(33, "slct.u64.s32 %0, %1, %2, %4;")
  OP(34, "{ .reg .u64 d; max.u64 d, %2, 1; div.u64 %0, %1, d; }")
  OP(35, "{ .reg .u64 d; max.u64 d, %2, 1; rem.u64 %0, %1, d; }")
  OP(36, "{ .reg .pred p; setp.ne.s64 p, %2, 0; mov.u64 %0, %3; @p div.s64 %0, %1, %2; }")
  OP(37, "{ .reg .pred p; setp.ne.s64 p, %2, 0; mov.u64 %0, %3; @p rem.s64 %0, %1, %2; }")
  OP(38, "{ .reg .u32 t; cvt.u32.u64 t, %1; mul.wide.u32 %0, t, %4; }")
  OP(39, "{ .reg .u32 t; cvt.u32.u64 t, %1; mul.wide.s32 %0, t, %4; }")
  OP(40, "{ .reg .u32 t; cvt.u32.u64 t, %1; mad.wide.u32 %0, t, %4, %2; }")
  OP(41, "{ .reg .u32 t; cvt.u32.u64 t, %1; mad.wide.s32 %0, t, %4, %2; }")
  OP(42, "{ .reg .pred p; setp.lt.u64 p, %1, %2; selp.b64 %0, %3, %1, p; }")
  OP(43, "{ .reg .pred p; setp.ge.s64 p, %1, %2; selp.b64 %0, %3, %1, p; }")
  OP(44, "{ .reg .u64 t; add.cc.u64 t, %1, %2; addc.u64 %0, %3, 0; }")
  OP(45, "{ .reg .u64 t; sub.cc.u64 t, %1, %2; subc.u64 %0, %3, 0; }")
  OP(46, "{ .reg .u32 h, l; mov.b64 {l, h}, %1; mov.b64 %0, {h, l}; }")
  OP(47, "{ .reg .u16 p, q, r, s; mov.b64 {p, q, r, s}, %1; mov.b64 %0, {s, p, r, q}; }")
}

#undef R
#undef OUT
#undef IN
#define R unsigned short
#define OUT(x) "=h"(x)
#define IN(x) "h"(x)

/* 16 bits; %4 is a count. */
extern "C" __global__ void integers16(int n, const unsigned short *in, unsigned short *out, unsigned *wide) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned short a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2];
  unsigned narrow = c & 31;
  unsigned short *o = out + (size_t)i * 26;
  OP(0, "add.u16 %0, %1, %2;")
  OP(1, "sub.s16 %0, %1, %2;")
  OP(2, "mul.lo.u16 %0, %1, %2;")
  OP(3, "mul.hi.u16 %0, %1, %2;")
  OP(4, "mul.hi.s16 %0, %1, %2;")
  OP(5, "mad.lo.u16 %0, %1, %2, %3;")
  OP(6, "mad.hi.s16 %0, %1, %2, %3;")
  OP(7, "shl.b16 %0, %1, %4;")
  OP(8, "shr.u16 %0, %1, %4;")
  OP(9, "shr.s16 %0, %1, %4;")
  OP(10, "neg.s16 %0, %1;")
  OP(11, "abs.s16 %0, %1;")
  OP(12, "min.u16 %0, %1, %2;")
  OP(13, "max.u16 %0, %1, %2;")
  OP(14, "min.s16 %0, %1, %2;")
  OP(15, "max.s16 %0, %1, %2;")
  OP(16, "and.b16 %0, %1, %2;")
  OP(17, "xor.b16 %0, %1, %2;")
  OP(18, "not.b16 %0, %1;")
  OP(19, "cnot.b16 %0, %1;")
  OP(20, "sad.s16 %0, %1, %2, %3;")
  OP(21, "{ .reg .u16 d; max.u16 d, %2, 1; div.u16 %0, %1, d; }")
  OP(22, "{ .reg .u16 d; max.u16 d, %2, 1; rem.u16 %0, %1, d; }")
  OP(23, "{ .reg .pred p; setp.ne.s16 p, %2, 0; mov.u16 %0, %3; @p div.s16 %0, %1, %2; }")
  OP(24, "{ .reg .pred p; setp.ne.s16 p, %2, 0; mov.u16 %0, %3; @p rem.s16 %0, %1, %2; }")
  OP(25, "{ .reg .pred p; setp.lt.s16 p, %1, %2; selp.u16 %0, %3, %1, p; }")
  unsigned r, *w = wide + (size_t)i * 4;
  asm("mul.wide.u16 %0, %1, %2;" : "=r"(r) : "h"(a), "h"(b));
  w[0] = r;
  asm("mul.wide.s16 %0, %1, %2;" : "=r"(r) : "h"(a), "h"(b));
  w[1] = r;
  asm("mad.wide.u16 %0, %1, %2, %3;" : "=r"(r) : "h"(a), "h"(b), "r"(w[0]));
  w[2] = r;
  asm("mad.wide.s16 %0, %1, %2, %3;" : "=r"(r) : "h"(a), "h"(b), "r"(w[1]));
  w[3] = r;
}

/* 8 bits and mixed widths as the compiler writes them, with loads that extend and stores that cut. */
extern "C" __global__ void integers8(int n, const unsigned char *in, unsigned char *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned char a = in[i * 3], b = in[i * 3 + 1], c = in[i * 3 + 2];
  signed char sa = (signed char)a, sb = (signed char)b;
  unsigned char *o = out + (size_t)i * 14;
  o[0] = a + b;
  o[1] = a - b;
  o[2] = a * b + c;
  o[3] = (unsigned char)((a * b) >> 8);
  o[4] = b ? a / b : c;
  o[5] = b ? a % b : c;
  o[6] = (unsigned char)(sb ? sa / sb : c);
  o[7] = (unsigned char)(sb ? sa % sb : c);
  o[8] = (unsigned char)(sa >> (c & 7));
  o[9] = (unsigned char)(a << (c & 7));
  o[10] = (unsigned char)(sa < sb ? sa : sb);
  o[11] = a < b ? a : b;
  o[12] = (unsigned char)(sa < 0 ? -sa : sa);
  o[13] = ~a ^ c;
}

/* Shifts and divisions as C writes them, by values that the compiler cannot know, and by constants that it can. */
extern "C" __global__ void integers_c(int n, const int *in, long long *out) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  int a = in[i * 3], b = in[i * 3 + 1];
  unsigned u = a;
  long long l = (long long)a * 0x100000001ll + b;
  long long *o = out + (size_t)i * 12;
  o[0] = a / 7;
  o[1] = a % 10;
  o[2] = u / 1000000007u;
  o[3] = u % 641u;
  o[4] = l / 1000003ll;
  o[5] = l % 86400ll;
  o[6] = a / 16;
  o[7] = a % 16;
  o[8] = __mulhi(a, b);
  o[9] = __mul64hi(l, l ^ 0x5555555555555555ll);
  o[10] = (long long)((unsigned __int128)(unsigned long long)l * 0x9e3779b97f4a7c15ull >> 64);
  o[11] = __usad(u, (unsigned)b, 17u);
}
