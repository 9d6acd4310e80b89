/**
 * Writes the instructions of one function: keeps registers in locals, pushes operands as an instruction's type wants them, pops
 * results into registers of whatever width. What each opcode does is in ../emit.
 */
import {
  badImage,
  type Instruction,
  type Operand,
  type PtxType,
  type Register,
  typeBytes,
  unsupported,
  type Variable,
} from "../ptx/program.ts";
import { specialType } from "../ptx/special-registers.ts";
import type { Code, WasmType } from "../wasm/code.ts";
import type { OpName } from "../wasm/opcodes.ts";
import type { AccessPlan } from "./access-plan.ts";
import { type RegionUse, shareRegisters } from "./register-spans.ts";
import { pushSpecial } from "./special.ts";
import type { ImportName, Unit } from "./unit.ts";

/** Locals that every function has. */
export interface Frame {
  /** Address of the worker's context. */
  readonly context: number;
  /** Number of the thread in its block. */
  readonly thread: number;
  /** Address of the thread's record. */
  readonly record: number;
  /** Offset of the function's frame in the thread's local memory; undefined in kernels, where it is 0. */
  readonly stack: number | undefined;
  /** Locals that hold the thread's position, where it is kept. */
  readonly position: readonly [x: number, y: number, z: number] | undefined;
  /** Local with the size of the block's shared memory. */
  readonly sharedLimit: number;
  /** Locals with addresses of parameters and results, in functions. */
  readonly pointers: ReadonlyMap<Variable, number>;
  /** Offsets of the frame's variables. */
  readonly offsets: ReadonlyMap<Variable, number>;
  /** Index of each callee by name. */
  readonly functions: ReadonlyMap<string, Callee>;
  /** Bytes of the frame: callees' frames begin behind it. */
  readonly frameBytes: number;
}

export interface Callee {
  readonly index: number;
  readonly params: readonly Variable[];
  readonly returns: readonly Variable[];
}

/** How values are held on the stack; registers of f32 may be vectors beside. */
export type HeldType = Exclude<WasmType, "v128">;

/** How a type is held on WebAssembly's stack. Types below 32 bits are held extended to 32 by their sign. */
export function wasmType(type: PtxType): HeldType {
  if (type === "f32" || type === "f64") return type;
  return typeBytes[type] === 8 ? "i64" : "i32";
}

export const isSigned = (type: PtxType): boolean => type.startsWith("s");

export class Emitter {
  readonly unit: Unit;
  readonly code: Code;
  readonly frame: Frame;
  /** Decided per block before its instructions are written. */
  plan: AccessPlan = new Map();
  readonly #registers = new Map<Register, number>();
  readonly #scratch = new Map<string, number>();
  /** Locals of the block that is being written, for what is worked out once in it; how many are in use. */
  readonly #indices: number[] = [];
  #indicesUsed = 0;

  constructor(unit: Unit, code: Code, frame: Frame) {
    this.unit = unit;
    this.code = code;
    this.frame = frame;
  }

  /** Gives the registers of what is to be written their locals, those that are never wanted at the same time the same. */
  share(use: RegionUse): void {
    const kindOf = (register: Register) => this.#kindOf(register);
    for (const [register, number] of shareRegisters(use, kindOf)) {
      this.#registers.set(register, this.scratch(kindOf(register), `register ${number}`));
    }
  }

  #kindOf(register: Register): WasmType {
    return this.isVector(register) ? "v128" : wasmType(register.type);
  }

  /** The local of a register. */
  register(register: Register): number {
    let local = this.#registers.get(register);
    if (local === undefined) {
      local = this.code.local(this.#kindOf(register));
      this.#registers.set(register, local);
    }
    return local;
  }

  /** Begins a block, of which this is decided. */
  begin(plan: AccessPlan): void {
    this.plan = plan;
    this.#indicesUsed = 0;
  }

  /** A local for a checked index, until the block ends. */
  index(): number {
    this.#indices[this.#indicesUsed] ??= this.code.local("i32");
    return this.#indices[this.#indicesUsed++]!;
  }

  /**
   * Whether a register is the lowest lane of a vector. The fused multiply-add exists for vectors only, so where it is used, 32-bit
   * floats stay in vectors: the lanes above hold whatever falls out and are never looked at.
   */
  isVector(register: Register): boolean {
    return register.type === "f32" && this.unit.features.fusedMultiplyAdd;
  }

  /** Whether an operand can be pushed and popped as a vector without work. */
  isVectorOperand(operand: Operand | undefined): boolean {
    return operand?.kind === "register" && this.isVector(operand.register);
  }

  /** Pushes a 32-bit float as a vector. */
  pushVector(operand: Operand | undefined, at: Instruction): void {
    if (operand?.kind === "register" && this.isVector(operand.register) && !operand.negated) {
      this.code.get(this.register(operand.register));
      return;
    }
    this.push(operand, "f32", at);
    this.op("f32x4.splat");
  }

  /** Pops a vector into a 32-bit float. */
  popVector(operand: Operand | undefined, at: Instruction): void {
    if (operand?.kind === "register" && this.isVector(operand.register)) {
      this.code.set(this.register(operand.register));
      return;
    }
    this.code.lane("f32x4.extract_lane", 0);
    this.pop(operand, "f32", at);
  }

  /** A local for values that live only within one instruction; the same name and type is the same local. */
  scratch(type: WasmType, name: string): number {
    const key = `${type}${name}`;
    let local = this.#scratch.get(key);
    if (local === undefined) {
      local = this.code.local(type);
      this.#scratch.set(key, local);
    }
    return local;
  }

  helper(name: string): this {
    this.code.call(this.unit.helper(name));
    return this;
  }

  import(name: ImportName): this {
    this.code.call(this.unit.import(name));
    return this;
  }

  op(name: OpName): this {
    this.code.op(name);
    return this;
  }

  /** Pushes an operand as `type`. */
  push(operand: Operand | undefined, type: PtxType, at: Instruction): void {
    const isWhole = operand?.kind === "special" || operand?.kind === "variable" || operand?.kind === "function";
    if (isWhole && (type === "f32" || type === "f64")) throw wrongKind(at);
    switch (operand?.kind) {
      case "register":
        this.#pushRegister(operand.register, type, at);
        if (operand.negated) this.op("i32.eqz");
        return;
      case "integer":
        this.#pushInteger(operand.value, type, at);
        return;
      case "float":
        this.#pushFloat(operand.value, type, at);
        return;
      case "special":
        this.#pushSpecial(operand.name, type, at);
        return;
      case "variable":
        this.#pushAddress(operand.variable, operand.offset, { type, at });
        return;
      case "function":
        this.#pushFunction(operand.name, type, at);
        return;
      default:
        throw wrongKind(at);
    }
  }

  /** Pops a value held as `type` into an operand. */
  pop(operand: Operand | undefined, type: PtxType, at: Instruction): void {
    if (operand?.kind === "sink") {
      this.op("drop");
      return;
    }
    if (operand?.kind !== "register" || operand.negated) {
      throw badImage(at.line, `the result of [${at.mnemonic.text}] is not a register`);
    }
    this.popRegister(operand.register, type, at);
  }

  popRegister(register: Register, type: PtxType, at: Instruction): void {
    const size = typeBytes[register.type];
    if (size === 16) throw unsupported(at, "128-bit values");
    if (typeBytes[type] > size || (type === "pred") !== (register.type === "pred")) throw wrongWidth(register, at);
    const held = wasmType(type);
    const target = wasmType(register.type);
    if (this.isVector(register)) {
      this.op(held === "f32" ? "f32x4.splat" : "i32x4.splat");
      this.code.set(this.register(register));
      return;
    }
    if (held === "f32" && target !== "f32") this.op("i32.reinterpret_f32");
    if (held === "f64" && target !== "f64") this.op("i64.reinterpret_f64");
    if (size === 8 && typeBytes[type] < 8) this.op(isSigned(type) ? "i64.extend_i32_s" : "i64.extend_i32_u");
    if (target === "f32" && held !== "f32") this.op("f32.reinterpret_i32");
    if (target === "f64" && held !== "f64") this.op("f64.reinterpret_i64");
    // Registers below 32 bits hold their value with zeroes above.
    if (size < 4 && register.type !== "pred") this.code.i32(size === 1 ? 0xff : 0xffff).op("i32.and");
    this.code.set(this.register(register));
  }

  #pushRegister(register: Register, type: PtxType, at: Instruction): void {
    const size = typeBytes[register.type];
    if (size === 16) throw unsupported(at, "128-bit values");
    if (typeBytes[type] > size || (type === "pred") !== (register.type === "pred")) throw wrongWidth(register, at);
    const held = wasmType(register.type);
    const wanted = wasmType(type);
    this.code.get(this.register(register));
    if (this.isVector(register)) {
      this.code.lane(wanted === "f32" ? "f32x4.extract_lane" : "i32x4.extract_lane", 0);
      this.#narrow(type, size);
      return;
    }
    if (held === wanted) {
      this.#narrow(type, size);
      return;
    }
    if (held === "f32") this.op("i32.reinterpret_f32");
    if (held === "f64") this.op("i64.reinterpret_f64");
    if (size === 8 && typeBytes[type] < 8) this.op("i32.wrap_i64");
    this.#narrow(type, size);
    if (wanted === "f32") this.op("f32.reinterpret_i32");
    if (wanted === "f64") this.op("f64.reinterpret_i64");
  }

  /** Extends what is below 32 bits, unless the register already holds it so. */
  #narrow(type: PtxType, registerBytes: number): void {
    const size = typeBytes[type];
    if (size >= 4 || type === "pred") return;
    if (isSigned(type)) this.op(size === 1 ? "i32.extend8_s" : "i32.extend16_s");
    else if (registerBytes > size) this.code.i32(size === 1 ? 0xff : 0xffff).op("i32.and");
  }

  #pushInteger(value: bigint, type: PtxType, at: Instruction): void {
    const size = typeBytes[type];
    if (type === "f32") this.code.f32Bits(Number(BigInt.asUintN(32, value)));
    else if (type === "f64") this.code.f64Bits(value);
    else if (type === "pred") this.code.i32(value === 0n ? 0 : 1);
    else if (size === 8) this.code.i64(value);
    else if (size === 16) throw unsupported(at, "128-bit values");
    else if (isSigned(type)) this.code.i32(Number(BigInt.asIntN(size * 8, value)));
    else this.code.i32(Number(BigInt.asUintN(size * 8, value)));
  }

  #pushFloat(value: number, type: PtxType, at: Instruction): void {
    if (type === "f32") this.code.f32(value);
    else if (type === "f64") this.code.f64(value);
    else if (typeBytes[type] === 4) this.code.f32(value).op("i32.reinterpret_f32");
    else if (typeBytes[type] === 8) this.code.f64(value).op("i64.reinterpret_f64");
    else throw badImage(at.line, "a float constant does not fit");
  }

  #pushSpecial(name: string, type: PtxType, at: Instruction): void {
    const own = specialType(name);
    pushSpecial(this, name, at);
    const size = typeBytes[type];
    if (typeBytes[own] === 8 && size < 8) this.op("i32.wrap_i64");
    if (typeBytes[own] === 4 && size === 8) this.op("i64.extend_i32_u");
    if (size < 4) this.#narrow(type, 4);
  }

  #pushFunction(name: string, type: PtxType, at: Instruction): void {
    const pointer = this.unit.pointers.get(name);
    if (pointer === undefined || typeBytes[type] !== 8) throw unsupported(at, `the address of [${name}]`);
    this.code.i64(pointer.address);
  }

  #pushAddress(variable: Variable, offset: number, { type, at }: { type: PtxType; at: Instruction }): void {
    const wide = typeBytes[type] === 8;
    const place = this.unit.address(variable);
    if (place !== undefined) {
      const value = place + BigInt(offset);
      if (wide) this.code.i64(value);
      else this.code.i32(Number(BigInt.asIntN(32, value)));
      return;
    }
    const param = this.unit.params.get(variable);
    if (param !== undefined) {
      this.code.i32(param + offset);
    } else {
      const within = this.frame.offsets.get(variable);
      if (within === undefined) throw unsupported(at, `the address of [${variable.name}]`);
      this.code.i32(within + offset);
      if (this.frame.stack !== undefined) this.code.get(this.frame.stack).op("i32.add");
    }
    if (wide) this.op("i64.extend_i32_u");
  }
}

const wrongKind = (at: Instruction) =>
  badImage(at.line, `an operand of [${at.mnemonic.text}] is missing or of a wrong kind`);

const wrongWidth = (register: Register, at: Instruction) =>
  badImage(at.line, `the register [${register.name}] of [${register.type}] does not fit [${at.mnemonic.text}]`);
