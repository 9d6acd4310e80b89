/**
 * Loads a PTX image: places and fills its variables, and describes them and its kernels as the interface wants it. A kernel that this device cannot
 * run is described with the reason and costs its module nothing; what is no PTX refuses the whole image.
 */

import { errorTable, SluiceError } from "../../../shared/errors.ts";
import type { GlobalInfo, KernelInfo, ParamInfo } from "../../../shared/generated/calls.ts";
import type { DeviceModule } from "../device.ts";
import { LinkKind, readLinkImage } from "../link-image.ts";
import { CAPABILITY } from "./attributes.ts";
import type { KernelFacts } from "./compile/kernel.ts";
import { align, placeInOrder, placeParams } from "./compile/places.ts";
import { type Pointer, type Pointers, placeFunctions, takenRoutines } from "./compile/pointers.ts";
import { surveyBody } from "./compile/survey.ts";
import { GlobalsWindow } from "./globals.ts";
import { KernelTable } from "./kernel-table.ts";
import { deviceRuntimeFor } from "./ptx/device-runtime.ts";
import { KERNEL_DESCRIPTOR_BYTES, LAUNCH_LIST } from "./ptx/launches.ts";
import { linkPrograms, requireDefined } from "./ptx/link.ts";
import { parsePtx } from "./ptx/parser.ts";
import { badImage, type Header, type Program, type Variable } from "./ptx/program.ts";
import { type MemoryLayout, PAGE_BYTES, planMemory } from "./run/layout.ts";

export class CpuModule implements DeviceModule {
  readonly kernels: readonly KernelInfo[];
  readonly globals: readonly GlobalInfo[];
  readonly table: KernelTable;
  /** Where its variables begin in linear memory; undefined where it has none. */
  readonly place: number | undefined;
  /** Where kernels leave what they launch; undefined where they launch nothing. */
  readonly launches: LaunchPlaces | undefined;

  constructor(parts: {
    kernels: KernelInfo[];
    globals: GlobalInfo[];
    table: KernelTable;
    place: number | undefined;
    launches: LaunchPlaces | undefined;
  }) {
    this.kernels = parts.kernels;
    this.globals = parts.globals;
    this.table = parts.table;
    this.place = parts.place;
    this.launches = parts.launches;
  }
}

export interface LaunchPlaces {
  /** Offset in linear memory of the word that names the newest launch. */
  readonly listAt: number;
  /** Numbers of the kernels that may be launched so, by the addresses that kernels know. */
  readonly kernels: ReadonlyMap<bigint, number>;
}

export interface LoadOptions {
  readonly layout: MemoryLayout;
  readonly window: GlobalsWindow;
  readonly memory: Uint8Array<ArrayBufferLike>;
}

/** PTX text, or several to be linked. */
function readImage(image: Uint8Array): Program {
  const inputs = readLinkImage(image) ?? [{ kind: LinkKind.PTX, data: image }];
  const other = inputs.find(({ kind }) => kind !== LinkKind.PTX);
  if (other !== undefined) {
    throw new SluiceError("BAD_IMAGE", `The cpu device links PTX text, not inputs of kind [${other.kind}].`);
  }
  const programs = inputs.map(({ data }) => parsePtx(data, surveyBody));
  const all = [...programs, ...deviceRuntimeFor(programs, surveyBody)];
  const program = all.length === 1 ? all[0]! : linkPrograms(all);
  requireDefined(program);
  return program;
}

export function loadImage(image: Uint8Array, options: LoadOptions): CpuModule {
  const program = readImage(image);
  const inModule = program.variables.filter(({ space }) => space === "global" || space === "const");
  const { offsets, byteCount: variableBytes } = placeInOrder(inModule);
  const taken = takenRoutines(program);
  const descriptorsAt = align(variableBytes, KERNEL_DESCRIPTOR_BYTES);
  const byteCount =
    taken.kernels.length === 0 ? variableBytes : descriptorsAt + taken.kernels.length * KERNEL_DESCRIPTOR_BYTES;
  const place = byteCount === 0 ? undefined : options.window.take(byteCount);
  try {
    const base = options.layout.arenaBase + (place ?? 0);
    const addresses = new Map<Variable, bigint>();
    for (const [variable, offset] of offsets) addresses.set(variable, BigInt(base + offset));
    const kernels = taken.kernels.map((routine, index): [string, Pointer] => {
      const address = BigInt(base + descriptorsAt + index * KERNEL_DESCRIPTOR_BYTES);
      return [routine.name, { routine, address }];
    });
    const functions = placeFunctions(taken.functions, options.window.takeCode(taken.functions.length));
    const pointers: Pointers = new Map([...functions, ...kernels]);
    const table = new KernelTable(program, { layout: options.layout, addresses, pointers });
    if (place !== undefined) {
      const bytes = options.memory.subarray(place, place + byteCount);
      fillVariables(bytes, { program, offsets, addresses, pointers });
      describeForLaunches(bytes.subarray(descriptorsAt), taken.kernels);
    }
    const list = [...offsets].find(([{ name }]) => name === LAUNCH_LIST)?.[1];
    const numbers = new Map(table.entries.map(({ name }, index) => [name, index]));
    const known = new Map(kernels.map(([name, { address }]) => [address, numbers.get(name)!]));
    const launches = list === undefined ? undefined : { listAt: (place ?? 0) + list, kernels: known };
    const constantBytes = inModule
      .filter(({ space }) => space === "const")
      .reduce((sum, { byteCount: size }) => sum + size, 0);
    const context = { target: program.target, constantBytes };
    return new CpuModule({
      kernels: table.facts.map((facts, index) => describeKernel(facts, table.entries[index]!, context)),
      globals: inModule.map((variable) => ({
        name: variable.name,
        address: Number(addresses.get(variable)),
        byteCount: variable.byteCount,
      })),
      table,
      place,
      launches,
    });
  } catch (error) {
    if (place !== undefined) options.window.free(place);
    // The text decides how deep what is asked of all its functions recurses.
    if (error instanceof RangeError) {
      throw new SluiceError("BAD_IMAGE", "The image nests too deep to be compiled.", { cause: error });
    }
    throw error;
  }
}

/** Writes zeroes and initial values; addresses of other variables are known by now. */
function fillVariables(
  bytes: Uint8Array<ArrayBufferLike>,
  {
    program,
    offsets,
    addresses,
    pointers,
  }: {
    program: Program;
    offsets: ReadonlyMap<Variable, number>;
    addresses: ReadonlyMap<Variable, bigint>;
    pointers: Pointers;
  },
): void {
  const byName = new Map([...addresses].map(([variable, address]) => [variable.name, address]));
  bytes.fill(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const variable of program.variables) {
    const offset = offsets.get(variable);
    if (offset === undefined) continue;
    for (const piece of variable.initial) {
      if (piece.kind === "bytes") {
        bytes.set(piece.bytes, offset + piece.offset);
        continue;
      }
      const target = byName.get(piece.symbol) ?? pointers.get(piece.symbol)?.address;
      if (target === undefined) throw badImage(piece.line, `the name [${piece.symbol}] has no address`);
      if (piece.size !== 8) throw badImage(piece.line, "an address takes 8 bytes");
      view.setBigUint64(offset + piece.offset, BigInt.asUintN(64, target + piece.addend), true);
    }
  }
}

/** Writes what the addresses of kernels point to. */
function describeForLaunches(bytes: Uint8Array<ArrayBufferLike>, kernels: readonly Header[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [index, kernel] of kernels.entries())
    view.setUint32(index * KERNEL_DESCRIPTOR_BYTES, placeParams(kernel).byteCount, true);
}

/** Types of parameters as the contract numbers them. */
const ParamType = { UNSIGNED: 1, SIGNED: 2, FLOAT: 3, BYTES: 4, POINTER: 5 } as const;

/** Bounds the descriptions of modules with thousands of kernels. */
const REFUSAL_CHARACTERS_MAX = 400;

function describeKernel(
  facts: KernelFacts | SluiceError,
  routine: Header,
  { target, constantBytes }: { target: number; constantBytes: number },
): KernelInfo {
  const refusal = facts instanceof SluiceError ? facts : undefined;
  const { threadsMax, sharedBytes, localBytes, usesHeap } =
    facts instanceof SluiceError ? { threadsMax: 0, sharedBytes: 0, localBytes: 0, usesHeap: false } : facts;
  const { offsets, byteCount } = placeParams(routine);
  return {
    name: routine.name,
    params: routine.params.map((param) => describeParam(param, offsets.get(param)!)),
    paramBytes: byteCount,
    threadsPerBlockMax: threadsMax,
    sharedBytes,
    localBytes,
    constantBytes,
    // Registers are no bound here; this many never keeps a program from launching.
    registers: 32,
    ptxVersion: target,
    binaryVersion: CAPABILITY.major * 10 + CAPABILITY.minor,
    usesHeap: usesHeap ? 1 : 0,
    refusalCode: refusal === undefined ? 0 : errorTable[refusal.code].wire,
    refusal: refusal?.message.slice(0, REFUSAL_CHARACTERS_MAX) ?? "",
  };
}

function describeParam(param: Variable, offset: number): ParamInfo {
  const { type, alignment, byteCount } = param;
  const kind = param.isPointer
    ? ParamType.POINTER
    : param.isArray
      ? ParamType.BYTES
      : type.startsWith("s")
        ? ParamType.SIGNED
        : type.includes("f")
          ? ParamType.FLOAT
          : ParamType.UNSIGNED;
  return { offset, size: byteCount, alignment, type: kind };
}

const WARMING = `.version 8.0
.target sm_80
.address_size 64
.visible .entry warm(.param .u64 p) {
.reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .f32 %f<4>; .shared .align 4 .b8 s[128];
ld.param.u64 %rd1, [p]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd3, %rd1, %rd2; setp.gt.u32 %p1, %r1, 31; @%p1 bra END;
LOOP: ld.global.f32 %f1, [%rd3]; fma.rn.f32 %f2, %f1, %f1, %f2; st.shared.f32 [s], %f2; bar.sync 0; setp.lt.f32 %p1, %f2, %f1; @%p1 bra LOOP;
st.global.f32 [%rd3], %f2;
END: ret;
}`;

/** Rounds after which V8 has compiled most of the path. */
const WARMING_ROUNDS = 10;

/** Runs a small program through parser and compiler, which makes the first real one several times quicker. */
export function warmCompiler(): void {
  const layout = planMemory({ arenaBytes: PAGE_BYTES, arenaBase: 0, workers: 1 });
  const image = new TextEncoder().encode(WARMING);
  const options = { layout, window: new GlobalsWindow(layout), memory: new Uint8Array(0) };
  for (let round = 0; round < WARMING_ROUNDS; round++) loadImage(image, options).table.get(0, [1, 1, 1]);
}
