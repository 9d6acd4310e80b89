/**
 * What it takes to know the kernels of a large library, whose binary code the driver loads kernel by kernel: how long a module of many takes, what it tells of
 * those that are not loaded yet, and how long it takes to load all, which the cuda device does. Whether to put that off is decided by these figures.
 */
import { CUresult, FunctionAttribute } from "../../server/device/cuda/constants.ts";
import { errorName } from "../../server/device/cuda/library.ts";
import { bytesAt } from "../../server/device/cuda/symbols.ts";
import type { Ladder } from "./ladder.ts";

const KERNELS = 200;
/** Of each kernel: about what one that works element by element compiles to. */
const STEPS = 96;
const LINK_PTX = 1;

const kernel = (
  index: number,
): string => `.visible .entry many_${index}(.param .u64 out, .param .f32 a, .param .f32 b, .param .u32 n)
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<4>;
  .reg .f32 %f<4>;
  ld.param.u64 %rd1, [out];
  ld.param.f32 %f1, [a];
  ld.param.f32 %f2, [b];
  cvta.to.global.u64 %rd1, %rd1;
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.f32 %f3, [%rd3];
${"  fma.rn.f32 %f3, %f3, %f1, %f2;\n  sqrt.approx.f32 %f3, %f3;\n".repeat(STEPS / 2)}  st.global.f32 [%rd3], %f3;
  ret;
}
`;

const library = (): string =>
  `.version 7.0\n.target sm_50\n.address_size 64\n${Array.from({ length: KERNELS }, (_, index) => kernel(index)).join("")}`;

/** What the driver documents to know of a kernel that is not loaded, and what not. */
const knownEarly = [
  FunctionAttribute.SHARED_SIZE_BYTES,
  FunctionAttribute.LOCAL_SIZE_BYTES,
  FunctionAttribute.NUM_REGS,
  FunctionAttribute.PTX_VERSION,
  FunctionAttribute.BINARY_VERSION,
];
const knownLate = [FunctionAttribute.MAX_THREADS_PER_BLOCK, FunctionAttribute.CONST_SIZE_BYTES];

export function loadManyKernels(ladder: Ladder): void {
  const { api } = ladder.library;
  const [state, image, module] = [new BigUint64Array(1), new BigUint64Array(2), new BigUint64Array(1)];
  const text = Buffer.from(`${library()}\0`);
  const linked =
    ladder.step("start linking", () => api.cuLinkCreate_v2(0, null, null, state)) &&
    ladder.step(`compile [${KERNELS}] kernels`, () =>
      api.cuLinkAddData_v2(state[0]!, LINK_PTX, text, text.byteLength, "many", 0, null, null),
    ) &&
    ladder.step("link them", () => api.cuLinkComplete(state[0]!, image.subarray(0, 1), image.subarray(1)));
  if (linked) {
    const binary = bytesAt(Number(image[0]), Number(image[1]));
    const load = (): number => api.cuModuleLoadDataEx(module, binary, 0, null, null);
    if (ladder.step("load their module", load, () => `[${binary.byteLength}] bytes`)) askKernels(ladder, module[0]!);
  }
  api.cuLinkDestroy(state[0]!);
}

function askKernels(ladder: Ladder, module: bigint): void {
  const { api } = ladder.library;
  const functions = new BigUint64Array(KERNELS);
  ladder.step("list them", () => api.cuModuleEnumerateFunctions(functions, KERNELS, module));
  const each = (ask: (f: bigint) => number): number => functions.reduce((first, f) => first || ask(f), 0);
  const value = new Int32Array(1);
  const attributes = (f: bigint, numbers: readonly number[]): number =>
    numbers.reduce((first, number) => first || api.cuFuncGetAttribute(value, number, f), 0);
  const [pointer, offset, size] = [new BigUint64Array(1), new BigUint64Array(1), new BigUint64Array(1)];
  // The device does not count on it.
  const early = (what: string, ask: (f: bigint) => number): void => {
    const started = performance.now();
    const result = each(ask);
    const timed = { value: performance.now() - started, unit: "ms" };
    ladder.fact(`${what} of [${KERNELS}] kernels before they are loaded`, {
      ...timed,
      ...(result === CUresult.SUCCESS ? {} : { note: errorName(api, result) }),
    });
  };
  early("names", (f) => api.cuFuncGetName(pointer, f));
  early("parameters", (f) =>
    [0, 1, 2, 3].reduce((first, at) => first || api.cuFuncGetParamInfo(f, at, offset, size), 0),
  );
  early("attributes", (f) => attributes(f, knownEarly));
  for (const number of knownLate) {
    const result = api.cuFuncGetAttribute(value, number, functions[0]!);
    const said = result === CUresult.SUCCESS ? `[${value[0]}]` : errorName(api, result);
    ladder.fact(`attribute ${number} of a kernel that is not loaded`, { note: said });
  }
  ladder.step("load all of them", () => each((f) => api.cuFuncLoad(f)));
  ladder.step("tell what only a loaded one has", () => each((f) => attributes(f, knownLate)));
  ladder.step("unload their module", () => api.cuModuleUnload(module));
}
