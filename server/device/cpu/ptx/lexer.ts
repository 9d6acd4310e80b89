/**
 * Cuts PTX text into tokens, one at a time, so that memory stays bounded by the text. Words keep their dots: `ld.global.f32`,
 * `%tid.x` and `.param` are one token each.
 */
import { badImage } from "./program.ts";

export interface Token {
  readonly kind: "word" | "integer" | "float" | "string" | "punctuation" | "end";
  /** The word, the punctuation character, or the string's text. */
  readonly text: string;
  /** Of an integer. */
  readonly value: bigint;
  /** Of a float. */
  readonly float: number;
  readonly line: number;
}

/** A place in the text, for a lexer that begins there. */
export interface Place {
  readonly at: number;
  readonly line: number;
}

/** An opcode with all its parts is one word; a directive is one by itself, since `.reg.b32` may be written without a space. */
const wordPattern = /\.[A-Za-z_$][\w$]*(?:::[\w$]+)*|%?[A-Za-z_$%][\w$]*(?:(?:\.|::)[\w$]+)*/y;
const numberPattern =
  /0[fF][0-9A-Fa-f]{8}|0[dD][0-9A-Fa-f]{16}|0[xX][0-9A-Fa-f]+U?|0[bB][01]+U?|\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+U?/y;
const bits = new DataView(new ArrayBuffer(8));

const NEWLINE = 10;

export class Lexer {
  readonly #text: string;
  #at: number;
  #line: number;
  #ahead: Token | undefined;

  constructor(text: string, { at, line }: Place = { at: 0, line: 1 }) {
    this.#text = text;
    this.#at = at;
    this.#line = line;
  }

  /** Where the next token will be looked for. None may have been looked at ahead. */
  place(): Place {
    if (this.#ahead !== undefined) throw new Error("a token has been looked at");
    return { at: this.#at, line: this.#line };
  }

  /** Line of the next token. */
  get line(): number {
    return this.peek().line;
  }

  peek(): Token {
    this.#ahead ??= this.#read();
    return this.#ahead;
  }

  next(): Token {
    const token = this.peek();
    this.#ahead = undefined;
    return token;
  }

  /** Takes the next token if it is this word or punctuation. */
  accept(text: string): boolean {
    const token = this.peek();
    if (token.text !== text || (token.kind !== "word" && token.kind !== "punctuation")) return false;
    this.#ahead = undefined;
    return true;
  }

  expect(text: string): Token {
    const token = this.next();
    if (token.text !== text || token.kind === "string") {
      throw badImage(token.line, `[${text}] is expected before ${describe(token)}`);
    }
    return token;
  }

  expectWord(what: string): Token {
    const token = this.next();
    if (token.kind !== "word") throw badImage(token.line, `${what} is expected before ${describe(token)}`);
    return token;
  }

  /** A whole number between 0 and 2^32 - 1. */
  expectCount(what: string): number {
    const token = this.next();
    if (token.kind !== "integer" || token.value > 0xffff_ffffn) {
      throw badImage(token.line, `${what} is expected before ${describe(token)}`);
    }
    return Number(token.value);
  }

  /** Drops what is left of the current line: `.loc` and `.file` end with it. */
  skipLine(): void {
    this.#ahead = undefined;
    const end = this.#text.indexOf("\n", this.#at);
    this.#at = end < 0 ? this.#text.length : end;
  }

  /** Drops a `{ ... }` whose opening brace was taken. */
  skipBraces(): void {
    const line = this.line;
    for (let depth = 1; depth > 0; ) {
      const token = this.next();
      if (token.kind === "end") throw badImage(line, "a brace is not closed");
      if (token.kind !== "punctuation") continue;
      if (token.text === "{") depth++;
      if (token.text === "}") depth--;
    }
  }

  #read(): Token {
    this.#skipBlank();
    const text = this.#text;
    const at = this.#at;
    if (at >= text.length) return this.#token("end", "");
    const first = text.charCodeAt(at);
    if (first === 0x22) return this.#readString();
    const isDigit = first >= 0x30 && first <= 0x39;
    if (isDigit || (first === 0x2e && /\d/.test(text[at + 1] ?? ""))) return this.#readNumber();
    wordPattern.lastIndex = at;
    if (wordPattern.test(text)) {
      this.#at = wordPattern.lastIndex;
      return this.#token("word", text.slice(at, this.#at));
    }
    this.#at++;
    return this.#token("punctuation", text[at]!);
  }

  #readNumber(): Token {
    numberPattern.lastIndex = this.#at;
    if (!numberPattern.test(this.#text)) throw badImage(this.#line, "a number is malformed");
    const text = this.#text.slice(this.#at, numberPattern.lastIndex);
    this.#at = numberPattern.lastIndex;
    const mark = text[1]?.toLowerCase();
    if (mark === "f" && text[0] === "0") {
      bits.setUint32(0, Number.parseInt(text.slice(2), 16));
      return { ...this.#token("float", text), float: bits.getFloat32(0) };
    }
    if (mark === "d" && text[0] === "0") {
      bits.setBigUint64(0, BigInt(`0x${text.slice(2)}`));
      return { ...this.#token("float", text), float: bits.getFloat64(0) };
    }
    if (mark !== "x" && /[.eE]/.test(text)) return { ...this.#token("float", text), float: Number(text) };
    const digits = text.replace(/U$/, "");
    if (digits.length > 70) throw badImage(this.#line, `the number [${digits.slice(0, 20)}...] is too long`);
    const isOctal = /^0\d+$/.test(digits);
    if (isOctal && /[89]/.test(digits)) throw badImage(this.#line, `the octal number [${digits}] is malformed`);
    return { ...this.#token("integer", text), value: BigInt(isOctal ? `0o${digits.slice(1)}` : digits) };
  }

  #readString(): Token {
    const end = this.#text.indexOf('"', this.#at + 1);
    if (end < 0) throw badImage(this.#line, "a string is not closed");
    const text = this.#text.slice(this.#at + 1, end);
    const token = this.#token("string", text);
    for (const char of text) if (char === "\n") this.#line++;
    this.#at = end + 1;
    return token;
  }

  #skipBlank(): void {
    const text = this.#text;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code === NEWLINE) this.#line++;
      if (code <= 0x20) {
        this.#at++;
      } else if (code === 0x2f && text[this.#at + 1] === "/") {
        const end = text.indexOf("\n", this.#at);
        this.#at = end < 0 ? text.length : end;
      } else if (code === 0x2f && text[this.#at + 1] === "*") {
        this.#skipComment();
      } else return;
    }
  }

  #skipComment(): void {
    const end = this.#text.indexOf("*/", this.#at + 2);
    if (end < 0) throw badImage(this.#line, "a comment is not closed");
    for (; this.#at < end + 2; this.#at++) if (this.#text.charCodeAt(this.#at) === NEWLINE) this.#line++;
  }

  #token(kind: Token["kind"], text: string): Token {
    return { kind, text, value: 0n, float: 0, line: this.#line };
  }
}

/** A token for an error message. */
export function describe(token: Token): string {
  if (token.kind === "end") return "the end of the text";
  const text = token.text.length > 40 ? `${token.text.slice(0, 40)}...` : token.text;
  return `[${text}]`;
}
