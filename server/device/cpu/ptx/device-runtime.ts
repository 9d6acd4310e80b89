/**
 * What programs expect of CUDA's library of device code (libcudadevrt), as far as this device has it: the grid of a cooperative launch here, launches by
 * kernels in launches.ts; all of them functions that cuda_device_runtime_api.h declares. What a program calls of it is linked to it.
 */
import { launchNames, launchText } from "./launches.ts";
import { parsePtx } from "./parser.ts";
import type { Program, Routine, Survey } from "./program.ts";

/** The barrier: every block counts up, the first by what turns the sign when all have come; each waits for the sign to turn. */
const synchronize = (name: string): string => `
.visible .func (.param .b32 result) ${name}(.param .b64 handle, .param .b32 flags) {
.reg .pred %p<4>; .reg .b32 %r<12>; .reg .b64 %rd<3>;
ld.param.u64 %rd0, [handle];
setp.ne.s64 %p0, %rd0, 0;
@%p0 bra MEET;
trap;
MEET:
bar.sync 0;
mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z;
or.b32 %r0, %r0, %r1; or.b32 %r0, %r0, %r2;
setp.ne.u32 %p1, %r0, 0;
@%p1 bra MET;
mov.u32 %r0, %nctaid.x; mov.u32 %r1, %nctaid.y; mov.u32 %r2, %nctaid.z;
mul.lo.u32 %r0, %r0, %r1; mul.lo.u32 %r0, %r0, %r2;
mov.u32 %r3, 0x80000001; sub.u32 %r3, %r3, %r0;
mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ctaid.y; mov.u32 %r2, %ctaid.z;
or.b32 %r0, %r0, %r1; or.b32 %r0, %r0, %r2;
setp.eq.u32 %p2, %r0, 0;
selp.b32 %r3, %r3, 1, %p2;
membar.gl;
atom.add.u32 %r4, [%rd0+4], %r3;
WAIT:
ld.volatile.u32 %r5, [%rd0+4];
xor.b32 %r6, %r5, %r4;
setp.gt.s32 %p3, %r6, -1;
@%p3 bra WAIT;
membar.gl;
MET:
bar.sync 0;
mov.u32 %r7, 0;
st.param.b32 [result], %r7;
ret;
}`;

const head = ".version 8.0\n.target sm_75\n.address_size 64\n";

const gridText = `
.visible .func (.param .b64 result) cudaCGGetIntrinsicHandle(.param .b32 scope) {
.reg .b32 %r<2>; .reg .b64 %rd<3>;
mov.u32 %r0, %envreg2; mov.u32 %r1, %envreg1;
cvt.u64.u32 %rd0, %r0; cvt.u64.u32 %rd1, %r1;
shl.b64 %rd1, %rd1, 32; or.b64 %rd0, %rd0, %rd1;
st.param.b64 [result], %rd0;
ret;
}
${synchronize("cudaCGSynchronize")}
${synchronize("cudaCGSynchronizeGrid")}
`;

interface Library {
  readonly names: readonly string[];
  readonly text: string;
  parsed?: Program;
}

const libraries: readonly Library[] = [
  { names: ["cudaCGGetIntrinsicHandle", "cudaCGSynchronize", "cudaCGSynchronizeGrid"], text: gridText },
  { names: launchNames, text: launchText },
];

/** The libraries of which one of the programs calls something. */
export function deviceRuntimeFor(
  programs: readonly Program[],
  survey: (routine: Routine) => Survey,
): readonly Program[] {
  const isCalled = (name: string) => programs.some(({ externals }) => externals.has(name));
  return libraries
    .filter(({ names }) => names.some(isCalled))
    .map((library) => {
      library.parsed ??= parsePtx(new TextEncoder().encode(head + library.text), survey);
      return library.parsed;
    });
}
