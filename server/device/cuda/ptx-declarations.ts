/**
 * What the text of a PTX module says of itself and the driver does not: the types and alignments of kernel parameters, the names and sizes
 * of global variables, and whether it prints. Only declarations are read; what is wrong in the text is the driver's to find.
 * The specification is the PTX ISA, sections on kernel parameters and on state spaces.
 */

/** As `ParamInfo.type` of the table of calls. */
export const ParamType = { UNKNOWN: 0, UNSIGNED: 1, SIGNED: 2, FLOAT: 3, BYTES: 4, POINTER: 5 } as const;

export interface DeclaredParam {
  readonly alignment: number;
  readonly type: number;
}

export interface PtxDeclarations {
  readonly params: ReadonlyMap<string, readonly DeclaredParam[]>;
  /** Names of the variables in global or constant memory; nvcc writes most of them without `.visible`. */
  readonly globals: readonly string[];
  /** Size of all module-scope variables in bytes: memory that lies outside the arena. Infinite where a length cannot be read. */
  readonly variableBytes: number;
  readonly prints: boolean;
}

/** Text without comments, and with nothing in its strings: file names and the like may hold anything. */
const bare = (text: string): string =>
  text.replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (match) => (match.startsWith('"') ? '""' : " "));

/** Text without what stands in braces, function bodies and initialisers alike. */
function outermost(text: string): string {
  let depth = 0;
  let kept = "";
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{") {
      if (depth++ === 0) kept += text.slice(from, at);
    } else if (character === "}" && depth > 0 && --depth === 0) {
      // A body ends its declaration as a semicolon does; after an initialiser the semicolon itself follows, or the next variable.
      if (!/=\s*$/.test(kept.slice(-40))) kept += ";";
      from = at + 1;
    }
  }
  return depth === 0 ? kept + text.slice(from) : kept;
}

const typeBytes = (type: string): number => Number(/\d+/.exec(type)?.[0] ?? 8) / 8;

function paramType(type: string, { pointer, array }: { pointer: boolean; array: boolean }): number {
  if (pointer) return ParamType.POINTER;
  if (array) return ParamType.BYTES;
  if (type.startsWith("u")) return ParamType.UNSIGNED;
  if (type.startsWith("s")) return ParamType.SIGNED;
  if (type.startsWith("f") || type.startsWith("bf")) return ParamType.FLOAT;
  return ParamType.UNKNOWN;
}

function declaredParam(text: string): DeclaredParam {
  const type = /\.(b8|b16|b32|b64|b128|u8|u16|u32|u64|s8|s16|s32|s64|f16|f16x2|bf16|f32|f64)\b/.exec(text)?.[1] ?? "";
  const pointer = /\.ptr\b/.test(text);
  // An alignment behind `.ptr` is that of the memory it points to.
  const alignment = /\.align\s+(\d+)/.exec(text.replace(/\.ptr[\s\S]*/, ""))?.[1];
  return {
    alignment: alignment === undefined ? typeBytes(type) : Number(alignment),
    type: paramType(type, { pointer, array: /\[\s*\d+\s*\]/.test(text) }),
  };
}

/** Elements of one dimension: a number, or nothing where the initialiser says it; what is neither may be anything. */
function lengthOf(text: string): number {
  const length = Number(text.trim().replace(/U$/, ""));
  return Number.isFinite(length) ? length : Number.POSITIVE_INFINITY;
}

/** The variables in global or constant memory that one statement declares; it may name several, each with a first value. */
function declaredVariables(statement: string): { readonly name: string; readonly byteCount: number }[] {
  const match = /\.(?:global|const)\b([\s\S]*)/.exec(statement);
  if (match === null || /\.(?:entry|func|extern)\b/.test(statement)) return [];
  const parts = match[1]!.split(",").map((part) => part.replace(/=[\s\S]*/, ""));
  const type = /\.(\w+)\s+[\w$%]+\s*(?:\[[^\]]*\]\s*)*$/.exec(parts[0]!)?.[1];
  if (type === undefined) return [];
  return parts.flatMap((part) => {
    const declared = /([\w$%]+)\s*((?:\[[^\]]*\]\s*)*)$/.exec(part);
    if (declared === null) return [];
    const lengths = [...declared[2]!.matchAll(/\[([^\]]*)\]/g)].map(([, length]) => lengthOf(length!));
    const byteCount = lengths.reduce((product, length) => product * length, typeBytes(type));
    // No length is none of the product: an unknown one beside it stays unknown.
    return [{ name: declared[1]!, byteCount: Number.isNaN(byteCount) ? Number.POSITIVE_INFINITY : byteCount }];
  });
}

/** Reads the declarations of PTX text; never throws. */
export function readPtxDeclarations(source: string): PtxDeclarations {
  const text = bare(source);
  const top = outermost(text);
  const params = new Map<string, DeclaredParam[]>();
  for (const [, name, list] of top.matchAll(/\.entry\s+([\w$%]+)\s*(?:\(([^)]*)\))?/g)) {
    const parts = (list ?? "").split(",").filter((part) => part.includes(".param"));
    params.set(name!, parts.map(declaredParam));
  }
  const globals: string[] = [];
  let variableBytes = 0;
  for (const statement of top.split(";")) {
    for (const { name, byteCount } of declaredVariables(statement)) {
      variableBytes += byteCount;
      globals.push(name);
    }
  }
  return { params, globals, variableBytes, prints: /\bvprintf\b/.test(text) };
}
