/** Reads the operands of one instruction. Names that are not known yet become labels, resolved at the function's end. */
import { describe, type Lexer, type Token } from "./lexer.ts";
import { badImage, type Label, type Operand, type Register, type Variable } from "./program.ts";
import { isSpecialRegister } from "./special-registers.ts";

/** What a name may mean beyond the scope of the body. */
export interface Names {
  find(name: string): Register | Variable | undefined;
  /** The elements of a vector of registers. */
  findVector(name: string): readonly Register[] | undefined;
  isFunction(name: string): boolean;
  /** A mention of a label; its target is filled in later. */
  label(name: string, line: number): Label;
}

/** `tcgen05.ld` has the widest vectors. */
const VECTOR_ELEMENTS_MAX = 256;
/** Arguments of a call. */
const LIST_ELEMENTS_MAX = 1024;

const isRegister = (meaning: Register | Variable): meaning is Register => !("space" in meaning);

/** One operand as it stands between commas. */
export function readOperand(lexer: Lexer, names: Names): Operand {
  if (lexer.accept("(")) return { kind: "list", elements: readElements(lexer, names, ")") };
  if (lexer.accept("[")) return readMemory(lexer, names);
  const first: Operand = lexer.accept("{")
    ? { kind: "vector", elements: readElements(lexer, names, "}") }
    : readSimple(lexer, names);
  if (lexer.accept("|")) return { kind: "pair", first, second: readSimple(lexer, names) };
  return first;
}

function readElements(lexer: Lexer, names: Names, close: "}" | ")"): Operand[] {
  const elements: Operand[] = [];
  if (lexer.accept(close)) return elements;
  const max = close === "}" ? VECTOR_ELEMENTS_MAX : LIST_ELEMENTS_MAX;
  do {
    if (elements.length === max) throw badImage(lexer.line, `a list has more than [${max}] elements`);
    elements.push(readSimple(lexer, names));
  } while (lexer.accept(","));
  lexer.expect(close);
  return elements;
}

function readSimple(lexer: Lexer, names: Names): Operand {
  const token = lexer.next();
  if (token.kind === "integer") return { kind: "integer", value: token.value };
  if (token.kind === "float") return { kind: "float", value: token.float };
  if (token.kind === "word") return readName(lexer, names, token);
  if (token.text === "-") return negate(lexer.next());
  if (token.text === "!") {
    const name = lexer.expectWord("a predicate");
    const register = names.find(name.text);
    if (register === undefined || !isRegister(register)) throw notDeclared(name);
    return { kind: "register", register, negated: true };
  }
  throw badImage(token.line, `an operand is expected before ${describe(token)}`);
}

function readName(lexer: Lexer, names: Names, token: Token): Operand {
  const name = token.text;
  if (name === "_") return { kind: "sink" };
  if (name === "WARP_SZ") return { kind: "integer", value: 32n };
  const meaning = names.find(name);
  if (meaning !== undefined) {
    if (isRegister(meaning)) return { kind: "register", register: meaning, negated: false };
    return { kind: "variable", variable: meaning, offset: readOffset(lexer) };
  }
  const elements = names.findVector(name);
  if (elements !== undefined) {
    return { kind: "vector", elements: elements.map((register) => ({ kind: "register", register, negated: false })) };
  }
  if (isSpecialRegister(name)) return { kind: "special", name };
  if (names.isFunction(name)) return { kind: "function", name };
  const whole = names.find(/^(.+)\.[bh][0-7]{1,4}$/.exec(name)?.[1] ?? "");
  // Bytes and halves of a register, as video instructions choose them; those are refused by name.
  if (whole !== undefined && isRegister(whole))
    return { kind: "list", elements: [{ kind: "register", register: whole, negated: false }] };
  if (name.startsWith("%")) throw notDeclared(token);
  return { kind: "label", label: names.label(name, token.line) };
}

/** Behind an opening bracket. */
function readMemory(lexer: Lexer, names: Names): Operand {
  const token = lexer.next();
  if (token.kind === "integer") {
    lexer.expect("]");
    return { kind: "memory", base: undefined, offset: Number(token.value) };
  }
  if (token.kind !== "word") throw badImage(token.line, `an address is expected before ${describe(token)}`);
  const base = names.find(token.text);
  if (lexer.peek().text === ",") {
    return readCoordinates(lexer, names, base);
  }
  if (base === undefined) throw notDeclared(token);
  const offset = readOffset(lexer);
  lexer.expect("]");
  return { kind: "memory", base, offset };
}

/** `[object, {x, y}]` of textures and surfaces, as a list that begins with the object. */
function readCoordinates(lexer: Lexer, names: Names, base: Register | Variable | undefined): Operand {
  lexer.expect(",");
  if (base !== undefined && isRegister(base) && lexer.accept("{")) {
    const coordinates = readElements(lexer, names, "}");
    if (lexer.accept("]"))
      return { kind: "list", elements: [{ kind: "register", register: base, negated: false }, ...coordinates] };
  }
  // Samplers beside textures, and bulk copies: read over, since such instructions are refused by name.
  while (lexer.peek().text !== "]" && lexer.peek().kind !== "end" && lexer.peek().text !== ";") lexer.next();
  lexer.expect("]");
  return { kind: "list", elements: [] };
}

/** `+4`, `-4`, `+-4`, or nothing. */
function readOffset(lexer: Lexer): number {
  let sign = 1;
  if (lexer.accept("-")) sign = -1;
  else if (!lexer.accept("+")) return 0;
  if (lexer.accept("-")) sign = -sign;
  return sign * lexer.expectCount("an offset");
}

function negate(token: Token): Operand {
  if (token.kind === "integer") return { kind: "integer", value: -token.value };
  if (token.kind === "float") return { kind: "float", value: -token.float };
  throw badImage(token.line, `a number is expected before ${describe(token)}`);
}

const notDeclared = (token: Token) => badImage(token.line, `the name ${describe(token)} is not declared`);
