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
  /** Size of all module-scope variables in bytes: memory that lies outside the arena. */
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
      // A body ends its declaration as a semicolon does; after an initialiser the semicolon itself follows.
      kept += ";";
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
    const match = /\.(?:global|const)\b([^=]*)/.exec(statement);
    if (match === null || /\.(?:entry|func)\b/.test(statement) || /\.extern\b/.test(statement)) continue;
    const declaration = /\.(\w+)\s+([\w$%]+)\s*((?:\[[^\]]*\]\s*)*)\s*$/.exec(match[1]!);
    if (declaration === null) continue;
    const lengths = [...declaration[3]!.matchAll(/\[\s*(\d*)\s*\]/g)].map(([, length]) => Number(length));
    variableBytes += lengths.reduce((product, length) => product * length, typeBytes(declaration[1]!));
    globals.push(declaration[2]!);
  }
  return { params, globals, variableBytes, prints: /\bvprintf\b/.test(text) };
}
