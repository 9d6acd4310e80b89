/** PTX that takes memory of a card outside any slice: that of threads, and of variables. For seeing how much that is. */

/** A kernel whose threads have local memory of their own, at places that no compiler knows beforehand. */
export const localKernel = (bytes: number): string => `.version 7.0
.target sm_75
.address_size 64
.visible .entry empty() {
  .local .align 4 .b8 own[${bytes}];
  .reg .b32 %r<4>; .reg .b64 %rd<5>; .reg .pred %p<2>;
  mov.u64 %rd1, own;
  mov.u32 %r1, %ctaid.x; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd3, %rd1, %rd2; st.local.u32 [%rd3], %r1;
  mov.u32 %r2, %tid.x; mul.wide.u32 %rd2, %r2, 4; add.s64 %rd4, %rd1, %rd2; ld.local.u32 %r3, [%rd4];
  setp.eq.u32 %p1, %r3, 2147400000; @%p1 trap;
  ret;
}`;

/** A module with a variable of a size, and a kernel that touches it. */
export const largeVariable = (bytes: number): string => `.version 7.0
.target sm_75
.address_size 64
.visible .global .align 4 .b8 large[${bytes}];
.visible .entry touch() {
  .reg .b64 %rd<2>;
  mov.u64 %rd1, large;
  st.global.u8 [%rd1], 1;
  ret;
}`;
