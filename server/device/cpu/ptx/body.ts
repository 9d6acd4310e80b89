/** Reads the body of an entry or function: declarations, labels and instructions, up to its closing brace. */
import { readVariables } from "./declarations.ts";
import { LANE_SWITCH, laneMarker, markLaneSwitches } from "./lanes.ts";
import { describe, type Lexer } from "./lexer.ts";
import { type Names, readOperand } from "./operands.ts";
import {
  type Body,
  badImage,
  type Instruction,
  isPtxType,
  type Label,
  type Mnemonic,
  type Operand,
  type PtxType,
  type Register,
  type Variable,
} from "./program.ts";
import { Scope } from "./scope.ts";

/** Bounds the memory that one module takes: far above real programs. */
export const INSTRUCTIONS_MAX = 2_000_000;

/** Far above the nesting of any compiler's output. */
const SCOPES_MAX = 256;

/** What the module gives its bodies. */
export interface ModuleNames {
  variable(name: string): Variable | undefined;
  isFunction(name: string): boolean;
  /** Counts one more instruction of the module. */
  countInstruction(line: number): void;
}

interface Mention {
  readonly label: Label;
  readonly scope: Scope;
  readonly line: number;
}

export class BodyReader {
  readonly #lexer: Lexer;
  readonly #module: ModuleNames;
  readonly #names: Names;
  readonly #body = { instructions: [] as Instruction[], frame: [] as Variable[], shared: [] as Variable[] };
  readonly #mentions: Mention[] = [];
  #scope: Scope;
  #depth = 1;
  #switchesLanes = false;

  constructor(lexer: Lexer, module: ModuleNames, params: readonly Variable[]) {
    this.#lexer = lexer;
    this.#module = module;
    const outer = new Scope(undefined);
    for (const param of params) outer.declare(param.name, param, param.line);
    this.#scope = new Scope(outer);
    this.#names = {
      find: (name) => {
        this.#switchesLanes ||= name === LANE_SWITCH;
        return this.#scope.find(name) ?? module.variable(name);
      },
      findVector: (name) => this.#scope.findVector(name),
      isFunction: (name) => module.isFunction(name),
      label: (name, at) => this.#mention(name, at),
    };
  }

  /** Reads up to the brace that closes the body; the opening one was taken. */
  read(): Body {
    while (this.#depth > 0) this.#readStatement();
    for (const mention of this.#mentions) resolve(mention);
    if (!this.#switchesLanes) return this.#body;
    return { ...this.#body, instructions: markLaneSwitches(this.#body.instructions) };
  }

  #readStatement(): void {
    const lexer = this.#lexer;
    const token = lexer.next();
    if (token.kind === "end") throw badImage(token.line, "a body is not closed");
    if (token.text === "{") this.#open(token.line);
    else if (token.text === "}") this.#close();
    else if (token.text === ";") return;
    else if (token.text === "@") this.#readGuarded();
    else if (token.kind !== "word") throw badImage(token.line, `a statement is expected before ${describe(token)}`);
    else if (token.text.startsWith(".")) this.#readDirective(token.text, token.line);
    else if (lexer.accept(":")) this.#readLabel(token.text, token.line);
    else this.#readInstruction(token.text, token.line, undefined);
  }

  #open(line: number): void {
    if (++this.#depth > SCOPES_MAX) throw badImage(line, "braces nest too deep");
    this.#scope = new Scope(this.#scope);
  }

  #close(): void {
    this.#depth--;
    if (this.#scope.parent !== undefined) this.#scope = this.#scope.parent;
  }

  #readLabel(name: string, line: number): void {
    const lexer = this.#lexer;
    const label: Label = { name, target: this.#body.instructions.length };
    this.#scope.defineLabel(label, line);
    if (lexer.accept(".branchtargets")) {
      const table: Label[] = [];
      do table.push(this.#mention(lexer.expectWord("a label").text, line));
      while (lexer.accept(","));
      label.table = table;
      lexer.expect(";");
    } else if (lexer.accept(".callprototype") || lexer.accept(".calltargets")) this.#skipStatement();
  }

  #readDirective(word: string, line: number): void {
    const lexer = this.#lexer;
    if (word === ".loc" || word === ".file") lexer.skipLine();
    else if (word === ".reg") this.#readRegisters();
    else if (word === ".local" || word === ".param" || word === ".shared") {
      const space = word.slice(1) as "local" | "param" | "shared";
      for (const variable of readVariables(lexer, space)) {
        this.#scope.declare(variable.name, variable, line);
        (space === "shared" ? this.#body.shared : this.#body.frame).push(variable);
      }
      lexer.expect(";");
    } else if (word === ".pragma") this.#skipStatement();
    else throw badImage(line, `the directive [${word}] is not known in a body`);
  }

  #readRegisters(): void {
    const lexer = this.#lexer;
    const vector = lexer.accept(".v2") ? 2 : lexer.accept(".v4") ? 4 : undefined;
    const { text, line } = lexer.expectWord("a type");
    const type = text.slice(1);
    if (!isPtxType(type)) throw badImage(line, `a register's type is expected instead of [${text}]`);
    do this.#readRegister(type, vector);
    while (lexer.accept(","));
    lexer.expect(";");
  }

  #readRegister(type: PtxType, vector: number | undefined): void {
    const lexer = this.#lexer;
    const { text: name, line } = lexer.expectWord("a register's name");
    if (vector !== undefined) this.#scope.declareVector(name, { type, count: vector }, line);
    else if (lexer.accept("<")) {
      this.#scope.declareRange(name, { type, count: lexer.expectCount("a number of registers") });
      lexer.expect(">");
    } else this.#scope.declare(name, { name, type }, line);
  }

  #readGuarded(): void {
    const lexer = this.#lexer;
    const negated = lexer.accept("!");
    const { text, line } = lexer.expectWord("a predicate");
    const register = this.#scope.find(text);
    if (register === undefined || "space" in register || register.type !== "pred") {
      throw badImage(line, `[${text}] is not a predicate`);
    }
    const opcode = lexer.expectWord("an instruction");
    this.#readInstruction(opcode.text, opcode.line, { register, negated });
  }

  #readInstruction(text: string, line: number, guard: { register: Register; negated: boolean } | undefined): void {
    const lexer = this.#lexer;
    this.#module.countInstruction(line);
    const mnemonic = parseMnemonic(text);
    const operands: Operand[] = [];
    if (!lexer.accept(";")) {
      do operands.push(readOperand(lexer, this.#names));
      while (lexer.accept(","));
      lexer.expect(";");
    }
    const instruction = { mnemonic, operands, guard, line };
    if (isVolatileShared(mnemonic)) this.#body.instructions.push(laneMarker("step", line));
    const isVectors = mnemonic.base === "mov" && (mnemonic.modifiers.has("v2") || mnemonic.modifiers.has("v4"));
    if (isVectors) this.#body.instructions.push(...moveElements(instruction));
    else this.#body.instructions.push(instruction);
  }

  #mention(name: string, line: number): Label {
    const label: Label = { name, target: -1 };
    this.#mentions.push({ label, scope: this.#scope, line });
    return label;
  }

  #skipStatement(): void {
    for (;;) {
      const token = this.#lexer.next();
      if (token.kind === "end") throw badImage(token.line, "a statement is not closed");
      if (token.kind === "punctuation" && token.text === ";") return;
    }
  }
}

/** Moves a vector element by element; all are read before any is written. */
function moveElements({ mnemonic, operands, guard, line }: Instruction): Instruction[] {
  const [target, source] = operands;
  const type = mnemonic.types[0];
  if (target?.kind !== "vector" || source?.kind !== "vector" || type === undefined)
    throw badImage(line, `[${mnemonic.text}] takes two vectors`);
  if (target.elements.length !== source.elements.length) throw badImage(line, "a vector does not fit the other");
  const move = parseMnemonic(`mov.${type}`);
  const between = source.elements.map((_, index): Operand => {
    return { kind: "register", register: { name: `${mnemonic.text} ${index}`, type }, negated: false };
  });
  const moves = (to: readonly Operand[], from: readonly Operand[]): Instruction[] =>
    to.map((element, index) => ({ mnemonic: move, operands: [element, from[index]!], guard, line }));
  return [...moves(between, source.elements), ...moves(target.elements, between)];
}

function resolve({ label, scope, line }: Mention): void {
  const found = scope.findLabel(label.name);
  if (found === undefined) throw badImage(line, `the name [${label.name}] is not declared`);
  label.target = found.target;
  if (found.table !== undefined) label.table = found.table;
}

/**
 * Before each such access the lanes of a warp wait for those of them that can still come: programs that give no other sign count there on a
 * warp going in step, as it does on a GPU.
 */
const isVolatileShared = ({ base, modifiers }: Mnemonic): boolean =>
  (base === "ld" || base === "st") &&
  modifiers.has("volatile") &&
  (modifiers.has("shared") || modifiers.has("shared::cta"));

const mnemonics = new Map<string, Mnemonic>();

/** Opcodes repeat; a bounded store of those already taken apart keeps a program small. */
function parseMnemonic(text: string): Mnemonic {
  const known = mnemonics.get(text);
  if (known !== undefined) return known;
  const parts = text.split(".");
  const types = parts.slice(1).filter(isPtxType);
  const modifiers = new Set(parts.slice(1).filter((part) => !isPtxType(part)));
  const mnemonic = { text, base: parts[0] ?? "", modifiers, types };
  if (mnemonics.size < 4096) mnemonics.set(text, mnemonic);
  return mnemonic;
}
