/**
 * Reads a PTX module. Every mistake is BAD_IMAGE with its line; nothing here knows what instructions mean. A body is read to its end, surveyed
 * and dropped; who needs it has it read again.
 */
import { SluiceError } from "../../../../shared/errors.ts";
import { BodyReader, INSTRUCTIONS_MAX, type ModuleNames } from "./body.ts";
import { readParams, readVariables } from "./declarations.ts";
import { describe, Lexer } from "./lexer.ts";
import {
  badImage,
  type Header,
  type Outline,
  type Program,
  type Routine,
  type Survey,
  type Variable,
} from "./program.ts";

/** A program's text stays with it; real modules stay far below this. */
const PTX_BYTES_MAX = 64 * 1024 * 1024;

type Surveyor = (routine: Routine) => Survey;

/** Reads an image as PTX text. `survey` is asked about every routine while its body is there. */
export function parsePtx(image: Uint8Array, survey: Surveyor): Program {
  if (image.length > PTX_BYTES_MAX) {
    throw new SluiceError("IMAGE_TOO_LARGE", `The image has [${image.length}] bytes; PTX may have [${PTX_BYTES_MAX}].`);
  }
  const first = image[0] ?? 0;
  const isElf = first === 0x7f && image[1] === 0x45;
  const isFatbin = first === 0x50 && image[1] === 0xed;
  if (isElf || isFatbin) {
    throw new SluiceError(
      "BAD_IMAGE",
      `The image is a ${isElf ? "cubin" : "fatbin"}; the cpu device takes PTX text (nvcc -ptx).`,
    );
  }
  const end = image.indexOf(0);
  return new ModuleReader(decode(end < 0 ? image : image.subarray(0, end)), survey).read();
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SluiceError("BAD_IMAGE", "The image is not text.", { cause });
  }
}

/** How the word before a declaration ties its name to other modules. */
interface Linkage {
  readonly line: number;
  readonly isExtern: boolean;
  readonly isVisible: boolean;
  readonly isWeak: boolean;
}

type Triple = readonly [x: number, y: number, z: number];

class ModuleReader {
  readonly #text: string;
  readonly #survey: Surveyor;
  readonly #lexer: Lexer;
  readonly #variables = new Map<string, Variable>();
  /** Every name of a variable or function, with how many stand before it: a body knows those before it. */
  readonly #order = new Map<string, number>();
  readonly #routines: Outline[] = [];
  readonly #defined = new Set<string>();
  readonly #functions = new Set<string>();
  readonly #visible = new Set<string>();
  readonly #weak = new Set<string>();
  readonly #borrowed = new Set<string>();
  #version = 0;
  #target = 0;
  #instructions = 0;

  constructor(text: string, survey: Surveyor) {
    this.#text = text;
    this.#survey = survey;
    this.#lexer = new Lexer(text);
  }

  read(): Program {
    this.#readPreamble();
    while (this.#lexer.peek().kind !== "end") this.#readDirective();
    return {
      version: this.#version,
      target: this.#target,
      routines: this.#routines,
      externals: new Set([...this.#functions].filter((name) => !this.#defined.has(name))),
      variables: [...this.#variables.values()],
      visible: this.#visible,
      weak: this.#weak,
      borrowed: this.#borrowed,
    };
  }

  #readPreamble(): void {
    const lexer = this.#lexer;
    lexer.expect(".version");
    const version = lexer.next();
    const match = /^(\d{1,2})\.(\d{1,2})$/.exec(version.text);
    if (match === null) throw badImage(version.line, `a version is expected before ${describe(version)}`);
    this.#version = Number(match[1]) * 10 + Number(match[2]);
  }

  #readDirective(): void {
    const lexer = this.#lexer;
    const token = lexer.next();
    const { text, line } = token;
    if (text === ".target") this.#readTarget();
    else if (text === ".address_size") {
      const size = lexer.expectCount("an address size");
      if (size !== 64) throw badImage(line, `the address size [${size}] is not 64`);
    } else if (text === ".file" || text === ".loc") lexer.skipLine();
    else if (text === ".section") {
      lexer.expectWord("a section's name");
      lexer.expect("{");
      lexer.skipBraces();
    } else if (text === ".pragma" || text === ".alias") {
      while (!lexer.accept(";")) if (lexer.next().kind === "end") throw badImage(line, "a directive is not closed");
    } else if (/^\.(visible|weak|common|extern)$/.test(text)) this.#readLinked(text, line);
    else this.#readDeclaration(text, { line, isExtern: false, isVisible: false, isWeak: false });
  }

  #readTarget(): void {
    const lexer = this.#lexer;
    do {
      const { text } = lexer.expectWord("a target");
      const number = /^sm_(\d{1,4})[af]?$/.exec(text)?.[1];
      if (number !== undefined) this.#target = Number(number);
    } while (lexer.accept(","));
  }

  #readLinked(linkage: string, line: number): void {
    const isExtern = linkage === ".extern";
    const isWeak = linkage === ".weak" || linkage === ".common";
    this.#readDeclaration(this.#lexer.next().text, { line, isExtern, isVisible: !isExtern, isWeak });
  }

  #readDeclaration(word: string, options: Linkage): void {
    const lexer = this.#lexer;
    if (word === ".entry" || word === ".func") {
      this.#readRoutine(word === ".entry", options);
      return;
    }
    const space = /^\.(global|const|shared)$/.exec(word)?.[1] as "global" | "const" | "shared" | undefined;
    if (space === undefined) throw badImage(options.line, `[${word.slice(0, 40)}] is not known here`);
    for (const variable of readVariables(lexer, space, options)) {
      const known = this.#variables.get(variable.name);
      if (known !== undefined && !options.isExtern && known.byteCount > 0 && !options.isVisible) {
        throw badImage(options.line, `the variable [${variable.name}] is declared twice`);
      }
      // What is defined already needs no declaration; a body keeps what it has seen.
      if (options.isExtern && known !== undefined) continue;
      this.#variables.set(variable.name, variable);
      this.#declare(variable.name);
      if (options.isVisible) this.#visible.add(variable.name);
      if (options.isWeak) this.#weak.add(variable.name);
      if (options.isExtern) this.#borrowed.add(variable.name);
      else this.#borrowed.delete(variable.name);
    }
    lexer.expect(";");
  }

  #readRoutine(isEntry: boolean, { line, isVisible, isWeak }: Linkage): void {
    const lexer = this.#lexer;
    // Attributes such as `.attribute(.unified(...))` and `.noreturn` may stand before or behind the name.
    const returns = lexer.accept("(") ? readParams(lexer) : [];
    const { text: name } = lexer.expectWord("a name");
    const params = lexer.accept("(") ? readParams(lexer) : [];
    const limits = this.#readLimits();
    if (isVisible) this.#visible.add(name);
    if (isWeak) this.#weak.add(name);
    this.#functions.add(name);
    this.#declare(name);
    if (lexer.accept(";")) return;
    lexer.expect("{");
    if (this.#defined.has(name)) throw badImage(line, `the function [${name}] is defined twice`);
    this.#defined.add(name);
    const bound = limits.required ?? limits.maximum;
    const threadsMax = bound === undefined ? 0 : bound[0] * bound[1] * bound[2];
    this.#readBody({ isEntry, name, params, returns, line, threadsMax, threadsRequired: limits.required });
  }

  #declare(name: string): void {
    if (!this.#order.has(name)) this.#order.set(name, this.#order.size);
  }

  /** Behind the body's opening brace. */
  #readBody(header: Header): void {
    const known = this.#order.size;
    const names: ModuleNames = {
      variable: (name) => (this.#isKnown(name, known) ? this.#variables.get(name) : undefined),
      isFunction: (name) => this.#functions.has(name) && this.#isKnown(name, known),
      countInstruction: (line) => {
        if (++this.#instructions > INSTRUCTIONS_MAX) throw badImage(line, "there are too many instructions");
      },
    };
    const outer = [...header.params, ...header.returns];
    const place = this.#lexer.place();
    const survey = this.#survey({ ...header, ...new BodyReader(this.#lexer, names, outer).read() });
    const again = { ...names, countInstruction: () => {} };
    const read = () => ({ ...header, ...new BodyReader(new Lexer(this.#text, place), again, outer).read() });
    this.#routines.push({ ...header, survey, read });
  }

  #isKnown(name: string, known: number): boolean {
    const order = this.#order.get(name);
    return order !== undefined && order < known;
  }

  /** Performance directives between the parameters and the body. */
  #readLimits(): { maximum: Triple | undefined; required: Triple | undefined } {
    const lexer = this.#lexer;
    let maximum: Triple | undefined;
    let required: Triple | undefined;
    for (;;) {
      const { kind, text, line } = lexer.peek();
      if (kind !== "word") return { maximum, required };
      lexer.next();
      if (text === ".maxntid") maximum = this.#readTriple();
      else if (text === ".reqntid") required = this.#readTriple();
      else if (/^\.(minnctapersm|maxnctapersm|maxnreg|maxclusterrank|reqnctapercluster)$/.test(text))
        this.#readTriple();
      else if (text === ".pragma") {
        while (!lexer.accept(";")) if (lexer.next().kind === "end") throw badImage(line, "a pragma is not closed");
      } else if (text !== ".noreturn" && text !== ".explicitcluster" && text !== ".blocksareclusters") {
        throw badImage(line, `the directive [${text.slice(0, 40)}] is not known here`);
      }
    }
  }

  #readTriple(): Triple {
    const lexer = this.#lexer;
    const values = [lexer.expectCount("a number")];
    while (values.length < 3 && lexer.accept(",")) values.push(lexer.expectCount("a number"));
    return [values[0] ?? 1, values[1] ?? 1, values[2] ?? 1];
  }
}
