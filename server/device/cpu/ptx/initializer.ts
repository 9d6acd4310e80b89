/** Reads the initialiser of a variable: nested lists of numbers and addresses, written element by element. */
import { describe, type Lexer } from "./lexer.ts";
import { badImage, type InitialPiece, type PtxType, typeBytes } from "./program.ts";

/** Nesting of braces: more than any array has dimensions. */
const DEPTH_MAX = 16;

interface Place {
  readonly type: PtxType;
  /** Bytes of one element, and of everything. */
  readonly byteCount: number;
  /** Bytes of one sub-list by depth, outermost first. */
  readonly strides: readonly number[];
}

/** Reads what stands behind `=`. */
export function readInitializer(lexer: Lexer, place: Place): InitialPiece[] {
  const pieces: InitialPiece[] = [];
  readValue({ lexer, place, pieces }, 0, { depth: 0 });
  return joined(pieces);
}

/** Numbers that lie behind each other as one piece, since tables have thousands of them. */
function joined(pieces: readonly InitialPiece[]): InitialPiece[] {
  const result: InitialPiece[] = [];
  for (let at = 0; at < pieces.length; ) {
    const run: Uint8Array[] = [];
    const { offset } = pieces[at]!;
    let end = offset;
    for (let piece = pieces[at]; piece?.kind === "bytes" && piece.offset === end; piece = pieces[++at]) {
      run.push(piece.bytes);
      end += piece.bytes.length;
    }
    if (run.length > 0) result.push({ kind: "bytes", offset, bytes: concatenate(run, end - offset) });
    else result.push(pieces[at++]!);
  }
  return result;
}

function concatenate(parts: readonly Uint8Array[], byteCount: number): Uint8Array {
  const whole = new Uint8Array(byteCount);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

interface Reading {
  readonly lexer: Lexer;
  readonly place: Place;
  readonly pieces: InitialPiece[];
}

function readValue(reading: Reading, offset: number, { depth }: { depth: number }): void {
  const { lexer, place } = reading;
  if (!lexer.accept("{")) {
    readElement(reading, offset);
    return;
  }
  if (depth >= DEPTH_MAX) throw badImage(lexer.line, "an initialiser nests too deep");
  const stride = place.strides[depth] ?? typeBytes[place.type];
  for (let index = 0; !lexer.accept("}"); index++) {
    if (index > 0) {
      lexer.expect(",");
      if (lexer.accept("}")) return;
    }
    readValue(reading, offset + index * stride, { depth: depth + 1 });
  }
}

function readElement({ lexer, place, pieces }: Reading, offset: number): void {
  const size = typeBytes[place.type];
  const line = lexer.line;
  if (offset + size > place.byteCount) throw badImage(line, "an initialiser is longer than its variable");
  const negative = lexer.accept("-");
  const token = lexer.next();
  if (token.kind === "float") {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    const value = negative ? -token.float : token.float;
    if (size === 8) view.setFloat64(0, value, true);
    else if (size === 4) view.setFloat32(0, value, true);
    else throw badImage(line, "a float does not fit its variable");
    pieces.push({ kind: "bytes", offset, bytes });
  } else if (token.kind === "integer") {
    // `0xFF00(symbol)` takes one byte of an address.
    if (lexer.peek().text === "(") throw badImage(line, "a masked address in an initialiser is not supported");
    const bytes = new Uint8Array(size);
    let rest = BigInt.asUintN(64, negative ? -token.value : token.value);
    for (let index = 0; index < Math.min(size, 8); index++, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
    pieces.push({ kind: "bytes", offset, bytes });
  } else if (token.kind === "word" && !negative) {
    pieces.push(readAddress(lexer, token.text, { offset, size, line }));
  } else throw badImage(line, `a value is expected before ${describe(token)}`);
}

function readAddress(lexer: Lexer, word: string, at: { offset: number; size: number; line: number }): InitialPiece {
  let symbol = word;
  if (word === "generic") {
    lexer.expect("(");
    symbol = lexer.expectWord("a name").text;
  }
  const addend = readAddend(lexer);
  if (word === "generic") lexer.expect(")");
  const more = word === "generic" ? readAddend(lexer) : 0n;
  return { kind: "address", ...at, symbol, addend: addend + more };
}

function readAddend(lexer: Lexer): bigint {
  const sign = lexer.accept("+") ? 1n : lexer.accept("-") ? -1n : 0n;
  return sign === 0n ? 0n : sign * BigInt(lexer.expectCount("a number"));
}
