/**
 * Writes instructions for trial, each by itself, to learn whether this device has them. What was written is thrown away; that an instruction of
 * the same form has passed is remembered, since a program has few forms and many instructions.
 */
import { emitInstruction } from "../emit/table.ts";
import { readSuspension, suspensionOf, writeSuspension } from "../emit/warp.ts";
import {
  badImage,
  type Call,
  type Instruction,
  type Mnemonic,
  type Operand,
  type PtxType,
  type Register,
  type Routine,
  typeBytes,
  type Variable,
} from "../ptx/program.ts";
import { probeFeatures } from "../run/features.ts";
import { PAGE_BYTES, planMemory } from "../run/layout.ts";
import { Code } from "../wasm/code.ts";
import { Emitter } from "./emitter.ts";
import { placeFrame, placeParams } from "./places.ts";
import { isSuspension } from "./traits.ts";
import { Unit } from "./unit.ts";

/** Bounds what the forms of one opcode take: far above real programs. */
const FORMS_MAX = 4096;

/** Bytes of code by opcode and form, of forms that have passed. */
const passed = new WeakMap<Mnemonic, Map<string, number>>();

const layout = planMemory({ arenaBytes: PAGE_BYTES, arenaBase: 0, workers: 1 });

/** Variables of modules have places by the time that a kernel is compiled; here any place will do. */
const anywhere = { get: () => 0n } as unknown as ReadonlyMap<Variable, bigint>;

export class Trial {
  /** Registers that instructions have named. */
  readonly registers = new Set<Register>();
  /** Shared variables that the body declares, or that its instructions have named. */
  readonly shared: Set<Variable>;
  readonly frameBytes: number;
  readonly #routine: Routine;
  readonly #offsets: ReadonlyMap<Variable, number>;
  #emitter: Emitter | undefined;

  constructor(routine: Routine) {
    this.#routine = routine;
    this.shared = new Set(routine.shared);
    const { offsets, byteCount } = placeFrame(routine.frame);
    this.#offsets = offsets;
    this.frameBytes = byteCount;
  }

  /**
   * Bytes of code that an instruction takes which is no jump and calls no function of the program.
   * @throws SluiceError what compiling would throw
   */
  bytes(instruction: Instruction): number {
    const form = this.#formOf(instruction);
    const forms = form === undefined ? undefined : formsOf(instruction.mnemonic);
    const known = forms?.get(form!);
    if (known !== undefined) return known;
    const bytes = this.#write(instruction);
    if (forms !== undefined && forms.size < FORMS_MAX) forms.set(form!, bytes);
    return bytes;
  }

  /** The same for a call of a function of the program. */
  callBytes(instruction: Instruction, { args, results }: Call): number {
    const { params, returns } = this.#routine;
    const own = this.#routine.isEntry ? [] : [...params, ...returns];
    for (const variable of [...args, ...results]) {
      if (!this.#offsets.has(variable) && !own.includes(variable))
        throw badImage(instruction.line, `the argument [${variable.name}] is not declared here`);
    }
    return 16 * (1 + args.length + results.length);
  }

  #write(instruction: Instruction): number {
    this.#emitter ??= this.#begin();
    const { code, unit } = this.#emitter;
    for (const variable of this.shared) unit.shared.set(variable, 0);
    const before = code.length;
    if (isSuspension(instruction)) {
      suspensionOf(instruction);
      writeSuspension(this.#emitter, instruction);
      readSuspension(this.#emitter, instruction);
    } else emitInstruction(this.#emitter, instruction);
    return code.length - before;
  }

  #begin(): Emitter {
    const unit = new Unit({ layout, features: probeFeatures(), addresses: anywhere, pointers: new Map() });
    const { isEntry, params, returns } = this.#routine;
    const variables = isEntry ? [] : [...params, ...returns];
    if (isEntry) for (const [param, offset] of placeParams(this.#routine).offsets) unit.params.set(param, offset);
    const code = new Code(["i32", "i32", "i32"], []);
    const local = () => code.local("i32");
    return new Emitter(unit, code, {
      context: 0,
      thread: 1,
      record: local(),
      stack: isEntry ? undefined : 2,
      position: [local(), local(), local()],
      sharedLimit: local(),
      pointers: new Map(variables.map((variable) => [variable, local()])),
      offsets: this.#offsets,
      functions: new Map(),
      frameBytes: this.frameBytes,
    });
  }

  /** What decides whether an instruction is taken, beside its opcode: undefined where that is more than kinds and types of operands. */
  #formOf({ mnemonic, operands }: Instruction): string | undefined {
    // The sizes of asynchronous copies are numbers among the operands.
    let form: string | undefined = mnemonic.base === "cp" || mnemonic.base === "call" ? undefined : "";
    for (const operand of operands) {
      const one = this.#formOfOperand(operand);
      form = form === undefined || one === undefined ? undefined : form + one;
    }
    return form;
  }

  #formOfOperand(operand: Operand): string | undefined {
    switch (operand.kind) {
      case "register":
        this.registers.add(operand.register);
        return operand.negated ? `!${shortNames[operand.register.type]}` : shortNames[operand.register.type];
      case "integer":
        return "1";
      case "float":
        return ".";
      case "sink":
        return "_";
      case "special":
        return `%${operand.name} `;
      case "memory":
        return this.#formOfMemory(operand);
      case "vector":
      case "list":
        return this.#formOfList(operand.elements, operand.kind === "vector" ? "{" : "(");
      case "pair":
        return this.#formOfList([operand.first, operand.second], "|");
      case "variable":
        if (operand.variable.space === "shared") this.shared.add(operand.variable);
        return undefined;
      default:
        return undefined;
    }
  }

  #formOfMemory({ base }: Extract<Operand, { kind: "memory" }>): string | undefined {
    if (base === undefined) return "[";
    if ("space" in base) {
      if (base.space === "shared") this.shared.add(base);
      return undefined;
    }
    this.registers.add(base);
    return `[${shortNames[base.type]}`;
  }

  #formOfList(elements: readonly Operand[], mark: string): string | undefined {
    let form: string | undefined = mark;
    for (const element of elements) {
      const one = this.#formOfOperand(element);
      form = form === undefined || one === undefined ? undefined : form + one;
    }
    return form === undefined ? undefined : `${form};`;
  }
}

/** A letter for each type. */
const shortNames = Object.fromEntries(
  Object.keys(typeBytes).map((type, index) => [type, String.fromCharCode(0x61 + index)]),
) as Record<PtxType, string>;

function formsOf(mnemonic: Mnemonic): Map<string, number> {
  let forms = passed.get(mnemonic);
  if (forms === undefined) {
    forms = new Map();
    passed.set(mnemonic, forms);
  }
  return forms;
}
