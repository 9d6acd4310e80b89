/**
 * Looks at a body when its module is loaded: whom it calls, and whether this device is certain to take it. What is not certain is no mistake yet:
 * such a kernel is compiled when it is loaded, which decides, and all others when they are first launched.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { isRuntimeFunction } from "../emit/call.ts";
import { type Call, type Forecast, type Instruction, type Routine, type Survey, typeBytes } from "../ptx/program.ts";
import { callOf, isSuspension, isWrite, maySpin, usesStack, writesShared } from "./traits.ts";
import { Trial } from "./trial.ts";

/** Beyond these a kernel may be too much for WebAssembly, or nest too deep for the compiler's own stack. */
const CODE_BYTES_MAX = 3_000_000;
const LOCALS_MAX = 45_000;
const BRANCHES_MAX = 1000;

export function surveyBody(routine: Routine): Survey {
  const calls = new Set<string>();
  const addresses = new Set<string>();
  for (const { mnemonic, operands } of routine.instructions) {
    for (const operand of operands)
      if (operand.kind === "function") (mnemonic.base === "call" ? calls : addresses).add(operand.name);
  }
  return { calls, addresses, forecast: addresses.size === 0 ? forecast(routine) : undefined };
}

function forecast(routine: Routine): Forecast | undefined {
  try {
    return new Forecaster(routine).run();
  } catch (error) {
    if (error instanceof SluiceError) return undefined;
    throw error;
  }
}

class Forecaster {
  readonly #routine: Routine;
  readonly #trial: Trial;
  readonly #calls: Call[] = [];
  #bytes = 0;
  #accesses = 0;
  #branches = 0;
  #waits = false;
  #canBeCalled = true;
  #writesShared = false;

  constructor(routine: Routine) {
    this.#routine = routine;
    this.#trial = new Trial(routine);
  }

  /** @throws SluiceError what compiling would throw */
  run(): Forecast | undefined {
    for (const instruction of this.#routine.instructions) if (!this.#look(instruction)) return undefined;
    const { registers, shared, frameBytes } = this.#trial;
    if (this.#bytes > CODE_BYTES_MAX || this.#branches > BRANCHES_MAX || registers.size + this.#accesses > LOCALS_MAX)
      return undefined;
    let recordBytesMax = 0;
    if (this.#waits) for (const { type } of registers) recordBytesMax += typeBytes[type] >= 8 ? 8 : 4;
    const own = { canBeCalled: this.#canBeCalled, writesShared: this.#writesShared };
    return { calls: this.#calls, shared: [...shared], frameBytes, recordBytesMax, ...own };
  }

  /** False where only compiling tells. */
  #look(instruction: Instruction): boolean {
    const { base } = instruction.mnemonic;
    if (instruction.guard !== undefined) this.#trial.registers.add(instruction.guard.register);
    if (base === "bra" || base === "brx") return this.#lookAtBranch(instruction);
    if (base === "call") return this.#lookAtCall(instruction);
    if (base === "ret") return true;
    if (usesStack(instruction)) return false;
    const waits = maySpin(instruction) || isSuspension(instruction);
    this.#waits ||= waits || isWrite(instruction);
    this.#writesShared ||= writesShared(instruction);
    this.#canBeCalled &&= !waits && base !== "exit";
    if (base === "exit") return true;
    // Each may need a place of its own for its checked address.
    if (base === "ld" || base === "st") this.#accesses++;
    this.#bytes += this.#trial.bytes(instruction);
    return true;
  }

  #lookAtBranch({ mnemonic, operands }: Instruction): boolean {
    const [first, second] = operands;
    this.#branches++;
    if (mnemonic.base === "bra") return first?.kind === "label";
    this.#branches += second?.kind === "label" ? (second.label.table?.length ?? 0) : 0;
    const isIndex = first?.kind === "register" && first.register.type !== "pred" && typeBytes[first.register.type] >= 4;
    return isIndex && second?.kind === "label" && second.label.table !== undefined;
  }

  #lookAtCall(instruction: Instruction): boolean {
    const call = callOf(instruction);
    if (call.name === undefined) return false;
    this.#calls.push(call);
    this.#bytes += isRuntimeFunction(call.name)
      ? this.#trial.bytes(instruction)
      : this.#trial.callBytes(instruction, call);
    return true;
  }
}
