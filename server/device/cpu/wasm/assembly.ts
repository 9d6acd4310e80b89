/**
 * Reads helper functions written as flat WebAssembly text: instruction names, `$name` reads a local, `=name` sets it,
 * `&name` sets and keeps it, `@name` calls another helper, `<type` opens a block of that result. Trusted text only.
 */
import { Code, type WasmType } from "./code.ts";
import { type OpName, opcodes } from "./opcodes.ts";

/** A helper: parameters and locals as `name:type name:type`. */
export interface Assembly {
  readonly params: string;
  readonly result: WasmType;
  readonly locals?: string;
  readonly body: string;
}

const declarations = (text: string): [name: string, type: WasmType][] =>
  text
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => word.split(":") as [string, WasmType]);

/** The parameter types of a helper. */
export const paramTypes = (source: Assembly): WasmType[] => declarations(source.params).map(([, type]) => type);

/** Assembles `source`; `resolve` gives the function index of another helper. */
export function assemble(source: Assembly, resolve: (name: string) => number): Code {
  const code = new Code(paramTypes(source), [source.result]);
  const names = new Map(declarations(source.params).map(([name], index) => [name, index]));
  for (const [name, type] of declarations(source.locals ?? "")) names.set(name, code.local(type));
  const local = (word: string): number => {
    const index = names.get(word.slice(1));
    if (index === undefined) throw new Error(`no local ${word}`);
    return index;
  };
  const words = source.body.trim().split(/\s+/);
  const labels: number[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word.startsWith("$")) code.get(local(word));
    else if (word.startsWith("=")) code.set(local(word));
    else if (word.startsWith("&")) code.tee(local(word));
    else if (word.startsWith("@")) code.call(resolve(word.slice(1)));
    else if (word === "i32.const") code.i32(Number(words[++at]));
    else if (word === "i64.const") code.i64(BigInt(words[++at]!));
    else if (word === "f32.const") code.f32(Number(words[++at]));
    else if (word === "f64.const") code.f64(Number(words[++at]));
    else if (word === "if") labels.push(code.if());
    else if (word.startsWith("if<")) labels.push(code.if(word.slice(3) as WasmType));
    else if (word === "block") labels.push(code.block());
    else if (word === "loop") labels.push(code.loop());
    else if (word === "else") code.else();
    else if (word === "end") {
      code.end();
      labels.pop();
    } else if (word === "br") code.br(labels[labels.length - 1 - Number(words[++at])]!);
    else if (word === "br_if") code.brIf(labels[labels.length - 1 - Number(words[++at])]!);
    else if (/\.(load|store|atomic\.(load|store|rmw))/.test(word)) code.access(word as OpName);
    else if (Object.hasOwn(opcodes, word)) code.op(word as OpName);
    else if (word === "f32x4.extract0") code.lane("f32x4.extract_lane", 0);
    else if (word === "f64x2.extract0") code.lane("f64x2.extract_lane", 0);
    else throw new Error(`no instruction ${word}`);
  }
  return code;
}
