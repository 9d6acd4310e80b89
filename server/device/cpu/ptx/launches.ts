/**
 * Launches by kernels, as device code sees them: the functions of cuda_device_runtime_api.h behind `kernel<<<...>>>` in a kernel, in PTX. A launch is a
 * record in the kernels' heap, on a list of its module; the slice runs what is on it when the kernel has ended (run/launch-list.ts), one after
 * the other, which is an order that all streams and events of the device allow. What a record has is told there.
 */

/** The newest record of a module, or 0. */
export const LAUNCH_LIST = "__sluice_launches";

/** Bytes of a record before its parameters, and places in it. */
export const Launch = { NEXT: 0, KERNEL: 8, STREAM: 16, GRID: 24, BLOCK: 36, SHARED_BYTES: 48, PARAMS: 64 } as const;

/** What the address of a kernel points to: the bytes of its parameters. */
export const KERNEL_DESCRIPTOR_BYTES = 16;

/** `cudaStreamTailLaunch`: what is launched so runs when all else that the kernel has launched is done. */
export const TAIL_STREAM = 3n;

const NO_ROOM = "there is room for a kernel that a kernel launches (cudaLimitMallocHeapSize)";
const bytesOf = (text: string): string => [...Buffer.from(`${text}\0`, "latin1")].join(", ");

const dim = (name: string): string => `.param .align 4 .b8 ${name}[12]`;

/** A record for so many bytes of parameters, which is asked for in %rd0; its address is in %rd1. An assertion fails where the heap has no room. */
const takeRecord = `
add.s64 %rd0, %rd0, ${Launch.PARAMS};
{ .param .b64 size; .param .b64 made;
st.param.b64 [size], %rd0;
call.uni (made), malloc, (size);
ld.param.b64 %rd1, [made]; }
setp.ne.s64 %p0, %rd1, 0;
@%p0 bra ROOM;
{ .param .b64 what; .param .b64 file; .param .b32 line; .param .b64 function; .param .b64 size;
mov.u64 %rd2, __sluice_no_room; cvta.global.u64 %rd2, %rd2; st.param.b64 [what], %rd2;
mov.u64 %rd2, __sluice_here; cvta.global.u64 %rd2, %rd2; st.param.b64 [file], %rd2; st.param.b64 [function], %rd2;
mov.u32 %r0, 0; st.param.b32 [line], %r0; mov.u64 %rd2, 1; st.param.b64 [size], %rd2;
call.uni __assertfail, (what, file, line, function, size); }
ROOM:`;

/** Keeps grid, block and bytes of shared memory in the record at %rd1. */
const describe = `
ld.param.u32 %r0, [grid]; ld.param.u32 %r1, [grid+4]; ld.param.u32 %r2, [grid+8];
ld.param.u32 %r3, [block]; ld.param.u32 %r4, [block+4]; ld.param.u32 %r5, [block+8];
st.u32 [%rd1+${Launch.GRID}], %r0; st.u32 [%rd1+${Launch.GRID + 4}], %r1; st.u32 [%rd1+${Launch.GRID + 8}], %r2;
st.u32 [%rd1+${Launch.BLOCK}], %r3; st.u32 [%rd1+${Launch.BLOCK + 4}], %r4; st.u32 [%rd1+${Launch.BLOCK + 8}], %r5;
ld.param.u32 %r0, [shared]; st.u32 [%rd1+${Launch.SHARED_BYTES}], %r0;
ld.param.u64 %rd2, [kernel]; st.u64 [%rd1+${Launch.KERNEL}], %rd2;`;

/** Puts the record whose parameters are at %rd0 before those that are on the list. */
const enlist = `
sub.s64 %rd1, %rd0, ${Launch.PARAMS};
ld.param.u64 %rd2, [stream]; st.u64 [%rd1+${Launch.STREAM}], %rd2;
atom.global.exch.b64 %rd3, [${LAUNCH_LIST}], %rd1;
st.u64 [%rd1], %rd3;
mov.u32 %r0, 0; st.param.b32 [result], %r0;
ret;`;

const registers = ".reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %rd<5>;";

/** A launch with an empty grid or block is none, as on a GPU, where it leaves an error that only the kernel can ask for. */
const refuseEmpty = `
ld.param.u32 %r0, [grid]; ld.param.u32 %r1, [grid+4]; ld.param.u32 %r2, [grid+8];
min.u32 %r0, %r0, %r1; min.u32 %r0, %r0, %r2;
ld.param.u32 %r1, [block]; ld.param.u32 %r2, [block+4]; ld.param.u32 %r3, [block+8];
min.u32 %r0, %r0, %r1; min.u32 %r0, %r0, %r2; min.u32 %r0, %r0, %r3;
setp.ne.u32 %p1, %r0, 0;`;

const withDescription = (name: string): string => `
.visible .func (.param .b64 result) ${name}(.param .b64 kernel, ${dim("grid")}, ${dim("block")}, .param .b32 shared) {
${registers}
${refuseEmpty}
@%p1 bra WHOLE;
mov.u64 %rd1, 0; st.param.b64 [result], %rd1;
ret;
WHOLE:
ld.param.u64 %rd0, [kernel]; ld.u32 %r0, [%rd0]; cvt.u64.u32 %rd0, %r0;
${takeRecord}
${describe}
add.s64 %rd1, %rd1, ${Launch.PARAMS}; st.param.b64 [result], %rd1;
ret;
}`;

const described = (name: string): string => `
.visible .func (.param .b32 result) ${name}(.param .b64 buffer, .param .b64 stream) {
${registers}
ld.param.u64 %rd0, [buffer];
${enlist}
}`;

const buffer = (name: string): string => `
.visible .func (.param .b64 result) ${name}(.param .b64 alignment, .param .b64 bytes) {
${registers}
ld.param.u64 %rd0, [bytes];
${takeRecord}
add.s64 %rd1, %rd1, ${Launch.PARAMS}; st.param.b64 [result], %rd1;
ret;
}`;

/** cudaErrorInvalidConfiguration is 9. */
const launch = (name: string): string => `
.visible .func (.param .b32 result) ${name}(.param .b64 kernel, .param .b64 buffer, ${dim("grid")}, ${dim("block")}, .param .b32 shared, .param .b64 stream) {
${registers}
${refuseEmpty}
@%p1 bra WHOLE;
mov.u32 %r0, 9; st.param.b32 [result], %r0;
ret;
WHOLE:
ld.param.u64 %rd0, [buffer]; sub.s64 %rd1, %rd0, ${Launch.PARAMS};
${describe}
${enlist}
}`;

/** Does nothing, which is success. */
const nothing = (params: string) => (name: string) =>
  `
.visible .func (.param .b32 result) ${name}(${params}) {
.reg .b32 %r<1>;
mov.u32 %r0, 0; st.param.b32 [result], %r0;
ret;
}`;

/** A number that is no other's, behind those that streams have of themselves. */
const handle = (name: string): string => `
.visible .func (.param .b32 result) ${name}(.param .b64 into, .param .b32 flags) {
.reg .b32 %r<1>; .reg .b64 %rd<2>;
atom.global.add.u64 %rd0, [__sluice_handles], 1;
ld.param.u64 %rd1, [into]; st.u64 [%rd1], %rd0;
mov.u32 %r0, 0; st.param.b32 [result], %r0;
ret;
}`;

const answer = (value: number) => (name: string) =>
  `
.visible .func (.param .b32 result) ${name}(.param .b64 into) {
.reg .b32 %r<1>; .reg .b64 %rd<1>;
ld.param.u64 %rd0, [into]; mov.u32 %r0, ${value}; st.u32 [%rd0], %r0;
mov.u32 %r0, 0; st.param.b32 [result], %r0;
ret;
}`;

/** Kernels of the library's own, of 128 threads: whole words where addresses and count allow it. */
const COPY = "__sluice_copy";
const FILL = "__sluice_fill";
const THREADS = 128;

const loop = (name: string, step: number, body: string): string => `
${name}: setp.ge.u64 %p0, %rd3, %rd2;
@%p0 ret;
add.s64 %rd4, %rd0, %rd3; add.s64 %rd5, %rd1, %rd3;
${body}
add.s64 %rd3, %rd3, ${step * THREADS};
bra ${name};`;

const ownKernels = `
.visible .entry ${COPY}(.param .b64 to, .param .b64 from, .param .b64 bytes) {
.reg .pred %p<2>; .reg .b32 %r<2>; .reg .b64 %rd<8>;
ld.param.u64 %rd0, [to]; ld.param.u64 %rd1, [from]; ld.param.u64 %rd2, [bytes];
mov.u32 %r0, %tid.x; cvt.u64.u32 %rd3, %r0;
or.b64 %rd6, %rd0, %rd1; or.b64 %rd6, %rd6, %rd2; and.b64 %rd6, %rd6, 3;
setp.ne.s64 %p1, %rd6, 0;
@%p1 bra BYTES;
shl.b64 %rd3, %rd3, 2;
${loop("WORDS", 4, "ld.u32 %r1, [%rd5]; st.u32 [%rd4], %r1;")}
${loop("BYTES", 1, "ld.u8 %r1, [%rd5]; st.u8 [%rd4], %r1;")}
}
.visible .entry ${FILL}(.param .b64 to, .param .b64 value, .param .b64 bytes) {
.reg .pred %p<2>; .reg .b32 %r<2>; .reg .b64 %rd<8>;
ld.param.u64 %rd0, [to]; ld.param.u64 %rd1, [value]; ld.param.u64 %rd2, [bytes]; cvt.u32.u64 %r1, %rd1;
mov.u32 %r0, %tid.x; cvt.u64.u32 %rd3, %r0;
${loop("BYTES", 1, "st.u8 [%rd4], %r1;")}
}`;

/** A copy or fill in its place among the launches of a stream: one of those kernels. */
const move = (kernel: string, params: string) => (name: string) =>
  `
.visible .func (.param .b32 result) ${name}(.param .b64 to, ${params}) {
${registers} .reg .b64 %v;
ld.param.u64 %rd0, [bytes];
setp.eq.s64 %p1, %rd0, 0;
@%p1 bra NONE;
mov.u64 %rd0, 24;
${takeRecord}
mov.u64 %rd2, ${kernel}; st.u64 [%rd1+${Launch.KERNEL}], %rd2;
mov.u32 %r0, 1; mov.u32 %r1, ${THREADS}; mov.u32 %r2, 0;
st.u32 [%rd1+${Launch.GRID}], %r0; st.u32 [%rd1+${Launch.GRID + 4}], %r0; st.u32 [%rd1+${Launch.GRID + 8}], %r0;
st.u32 [%rd1+${Launch.BLOCK}], %r1; st.u32 [%rd1+${Launch.BLOCK + 4}], %r0; st.u32 [%rd1+${Launch.BLOCK + 8}], %r0;
st.u32 [%rd1+${Launch.SHARED_BYTES}], %r2;
ld.param.u64 %rd2, [to]; st.u64 [%rd1+${Launch.PARAMS}], %rd2;
${kernel === COPY ? "ld.param.u64 %v, [from];" : "ld.param.u32 %r0, [value]; cvt.u64.u32 %v, %r0;"} st.u64 [%rd1+${Launch.PARAMS + 8}], %v;
ld.param.u64 %rd2, [bytes]; st.u64 [%rd1+${Launch.PARAMS + 16}], %rd2;
add.s64 %rd0, %rd1, ${Launch.PARAMS};
${enlist}
NONE:
mov.u32 %r0, 0; st.param.b32 [result], %r0;
ret;
}`;
const copy = move(COPY, ".param .b64 from, .param .b64 bytes, .param .b32 kind, .param .b64 stream");
const fill = move(FILL, ".param .b32 value, .param .b64 bytes, .param .b64 stream");

/** What these functions give for the two results that they have. */
const texts = {
  fine: ["no error", "cudaSuccess"],
  wrong: ["invalid configuration argument", "cudaErrorInvalidConfiguration"],
} as const;
const text = (which: 0 | 1) => (name: string) =>
  `
.global .align 1 .b8 ${name}_fine[] = {${bytesOf(texts.fine[which])}};
.global .align 1 .b8 ${name}_wrong[] = {${bytesOf(texts.wrong[which])}};
.visible .func (.param .b64 result) ${name}(.param .b32 error) {
.reg .pred %p<1>; .reg .b32 %r<1>; .reg .b64 %rd<2>;
ld.param.u32 %r0, [error]; setp.eq.u32 %p0, %r0, 0;
mov.u64 %rd0, ${name}_fine; mov.u64 %rd1, ${name}_wrong; selp.b64 %rd0, %rd0, %rd1, %p0;
cvta.global.u64 %rd0, %rd0; st.param.b64 [result], %rd0;
ret;
}`;

const functions: Readonly<Record<string, (name: string) => string>> = {
  GetParameterBufferV2: withDescription,
  LaunchDeviceV2: described,
  LaunchDeviceV2_ptsz: described,
  GetParameterBuffer: buffer,
  LaunchDevice: launch,
  LaunchDevice_ptsz: launch,
  MemcpyAsync: copy,
  MemcpyAsync_ptsz: copy,
  MemsetAsync: fill,
  MemsetAsync_ptsz: fill,
  StreamCreateWithFlags: handle,
  EventCreateWithFlags: handle,
  StreamDestroy: nothing(".param .b64 stream"),
  StreamWaitEvent: nothing(".param .b64 stream, .param .b64 event, .param .b32 flags"),
  StreamWaitEvent_ptsz: nothing(".param .b64 stream, .param .b64 event, .param .b32 flags"),
  EventRecord: nothing(".param .b64 event, .param .b64 stream"),
  EventRecord_ptsz: nothing(".param .b64 event, .param .b64 stream"),
  EventRecordWithFlags: nothing(".param .b64 event, .param .b64 stream, .param .b32 flags"),
  EventRecordWithFlags_ptsz: nothing(".param .b64 event, .param .b64 stream, .param .b32 flags"),
  EventDestroy: nothing(".param .b64 event"),
  GetErrorString: text(0),
  GetErrorName: text(1),
  GetLastError: nothing(""),
  PeekAtLastError: nothing(""),
  GetDeviceCount: answer(1),
  GetDevice: answer(0),
};

/** Each by the name that CUDA's guide to programming gives it, and by the one that the header makes of it since CUDA 12. */
const forms = Object.entries(functions).flatMap(([name, write]) =>
  ["cuda", "__cudaCDP2"].map((prefix) => ({ name: prefix + name, write })),
);

export const launchNames: readonly string[] = forms.map(({ name }) => name);

export const launchText = `
.extern .func (.param .b64 made) malloc(.param .b64 size);
.extern .func __assertfail(.param .b64 what, .param .b64 file, .param .b32 line, .param .b64 function, .param .b64 size);
.visible .global .align 8 .b64 ${LAUNCH_LIST};
.global .align 8 .b64 __sluice_handles = 16;
.global .align 1 .b8 __sluice_no_room[] = {${bytesOf(NO_ROOM)}};
.global .align 1 .b8 __sluice_here[] = {${bytesOf("a launch by a kernel")}};
${ownKernels}
${forms.map(({ name, write }) => write(name)).join("\n")}
`;
