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
  const digits = text.trim().replace(/U$/, "");
  const length = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return Number.isFinite(length) ? length : Number.POSITIVE_INFINITY;
}

/** Text without the first values of variables, which may name others. */
const withoutInitialisers = (text: string): string => {
  let kept = "";
  let from = 0;
  for (const { index } of text.matchAll(/=\s*\{/g)) {
    if (index < from) continue;
    kept += text.slice(from, index);
    from = text.indexOf("{", index) + 1;
    for (let depth = 1; depth > 0 && from < text.length; from++)
      depth += text[from] === "{" ? 1 : text[from] === "}" ? -1 : 0;
  }
  return kept + text.slice(from);
};

/** What is not understood may be anything. */
const UNKNOWN_BYTES = Number.POSITIVE_INFINITY;

/** Bytes of one element of a variable with these words before its name, such as `.align 16 .v4 .f32`; and what its size is a multiple of. */
function elementOf(words: string): { byteCount: number; alignment: number } | undefined {
  const type = /\.(\w+)\s*$/.exec(words)?.[1];
  if (type === undefined) return undefined;
  const lanes = Number(/\.v(\d+)\b/.exec(words)?.[1] ?? 1) * (/x2$/.test(type) ? 2 : 1);
  const byteCount = typeBytes(type) * lanes;
  const alignment = /\.align\s+([^\s.]+)/.exec(words)?.[1];
  return { byteCount, alignment: alignment === undefined ? byteCount : lengthOf(alignment) };
}

/** The variables in global or constant memory that one statement declares, in a function's body or outside; it may name several. */
function declaredVariables(statement: string): { readonly name: string; readonly byteCount: number }[] {
  // Instructions name these spaces too, behind a word of theirs.
  const match = /(?:^|[^\w$%.])(?:\.\w+)*?\.(?:global|const)\b([\s\S]*)/.exec(statement);
  if (match === null || /\.(?:entry|func|extern|callprototype)\b/.test(statement)) return [];
  const parts = match[1]!
    .replace(/\.attribute\s*\((?:[^()]|\([^()]*\))*\)/g, " ")
    .split(",")
    .map((part) => part.replace(/=[\s\S]*/, ""));
  const declarator = /([\w$%]+)\s*((?:<[^>]*>\s*)?(?:\[[^\]]*\]\s*)*)$/;
  const element = elementOf(parts[0]!.replace(declarator, ""));
  return parts.map((part) => {
    const declared = declarator.exec(part);
    if (declared === null || element === undefined) return { name: "", byteCount: UNKNOWN_BYTES };
    // `x<3>` declares three variables, `x[3]` one of three elements.
    const counts = [...declared[2]!.matchAll(/[<[]([^\]>]*)[\]>]/g)].map(([, count]) => lengthOf(count!));
    const whole = counts.reduce((product, count) => product * count, element.byteCount);
    const isMany = declared[2]!.startsWith("<");
    const places = isMany ? counts[0]! : 1;
    const padded = Math.ceil(whole / places / element.alignment) * element.alignment * places;
    // No length is none of the product: an unknown one beside it stays unknown.
    return { name: declared[1]!, byteCount: Number.isNaN(padded) ? UNKNOWN_BYTES : padded };
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
  for (const statement of withoutInitialisers(text).split(/[;{}]/)) {
    for (const { name, byteCount } of declaredVariables(statement)) {
      variableBytes += byteCount;
      if (name !== "") globals.push(name);
    }
  }
  return { params, globals, variableBytes, prints: /\bvprintf\b/.test(text) };
}
