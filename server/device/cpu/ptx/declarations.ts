/** Reads declarations that look alike at module level, in parameter lists and in function bodies. */
import { readInitializer } from "./initializer.ts";
import type { Lexer } from "./lexer.ts";
import { badImage, isPtxType, type PtxType, type Space, typeBytes, type Variable } from "./program.ts";

/** Far above any real alignment; a larger one is a mistake. */
const ALIGNMENT_MAX = 4096;

/** Declared variables are bounded by 32-bit memory. */
const VARIABLE_BYTES_MAX = 0xffff_ffff;

/** Bounds what one name with a count declares: far above the arguments of any call. */
const RANGE_VARIABLES_MAX = 1024;

/** Variables of one declaration: `.shared .align 4 .b8 a[64], b[32], c<2>;` without the semicolon; its space was taken. */
export function readVariables(lexer: Lexer, space: Space, { isExtern = false } = {}): Variable[] {
  const shape = readShape(lexer);
  const variables: Variable[] = [];
  do {
    const variable = readVariable(lexer, { space, isExtern, ...shape });
    if (lexer.accept("<")) variables.push(...readRange(lexer, variable));
    else variables.push(variable);
  } while (lexer.accept(","));
  return variables;
}

/** `c<2>` stands for `c0` and `c1`. */
function readRange(lexer: Lexer, variable: Variable): Variable[] {
  const count = lexer.expectCount("a number of variables");
  lexer.expect(">");
  if (count > RANGE_VARIABLES_MAX) {
    throw badImage(
      variable.line,
      `[${variable.name}] stands for [${count}] of at most ${RANGE_VARIABLES_MAX} variables`,
    );
  }
  return Array.from({ length: count }, (_, index) => ({ ...variable, name: `${variable.name}${index}` }));
}

/** A parenthesised list of `.param` variables; the opening parenthesis was taken. */
export function readParams(lexer: Lexer): Variable[] {
  const params: Variable[] = [];
  if (lexer.accept(")")) return params;
  do {
    const line = lexer.line;
    if (lexer.accept(".reg")) throw badImage(line, "a register as a parameter is not supported");
    lexer.expect(".param");
    const shape = readShape(lexer);
    params.push(readVariable(lexer, { space: "param", isExtern: false, ...shape }));
  } while (lexer.accept(","));
  lexer.expect(")");
  return params;
}

interface Shape {
  readonly type: PtxType;
  readonly alignment: number;
  readonly isPointer: boolean;
  readonly vector: number;
}

/** Everything between the space and the name: alignment, vector width, type, `.ptr` with its attributes. */
function readShape(lexer: Lexer): Shape {
  let type: PtxType | undefined;
  let alignment = 0;
  let isPointer = false;
  let vector = 1;
  for (;;) {
    const token = lexer.peek();
    // A name may follow at once; it does not begin with a dot.
    if (token.kind !== "word" || !token.text.startsWith(".")) break;
    lexer.next();
    const word = token.text.slice(1);
    if (word === "align") {
      const value = lexer.expectCount("an alignment");
      if (value === 0 || value > ALIGNMENT_MAX || (value & (value - 1)) !== 0) {
        throw badImage(token.line, `the alignment [${value}] is not a power of two up to ${ALIGNMENT_MAX}`);
      }
      // Behind `.ptr` it speaks of what is pointed to.
      if (!isPointer) alignment = value;
    } else if (word === "ptr") isPointer = true;
    else if (word === "v2" || word === "v4") vector = Number(word[1]);
    else if (word === "attribute") skipParentheses(lexer);
    else if (isPtxType(word)) type = word;
    else if (!(isPointer && /^(global|const|shared|local)$/.test(word))) {
      throw badImage(token.line, `the attribute [${token.text}] is not known`);
    }
  }
  if (type === undefined) throw badImage(lexer.line, "a declaration has no type");
  return { type, alignment, isPointer, vector };
}

function readVariable(lexer: Lexer, options: Shape & { space: Space; isExtern: boolean }): Variable {
  const { type, space, isPointer, vector } = options;
  const { text: name, line } = lexer.expectWord("a name");
  const element = typeBytes[type] * vector;
  const dimensions: number[] = [];
  let isDynamic = false;
  while (lexer.accept("[")) {
    if (lexer.accept("]")) {
      isDynamic = true;
      dimensions.push(0);
      continue;
    }
    dimensions.push(lexer.expectCount("an array size"));
    lexer.expect("]");
  }
  const strides = dimensions.map((_, index) =>
    dimensions.slice(index + 1).reduce((product, size) => product * size, element),
  );
  const hasInitial = lexer.accept("=");
  const declared = dimensions.reduce((product, size) => product * size, element);
  if (declared > VARIABLE_BYTES_MAX) throw badImage(line, `the variable [${name}] is too large`);
  const place = { type, byteCount: isDynamic ? VARIABLE_BYTES_MAX : declared, strides };
  const initial = hasInitial ? readInitializer(lexer, place) : [];
  const written = initial.reduce(
    (end, piece) => Math.max(end, piece.offset + (piece.kind === "bytes" ? piece.bytes.length : piece.size)),
    0,
  );
  return {
    name,
    space,
    type,
    alignment: options.alignment || element,
    byteCount: isDynamic ? written : declared,
    isArray: dimensions.length > 0,
    isDynamic: isDynamic && space === "shared" && options.isExtern,
    isPointer,
    initial,
    line,
  };
}

function skipParentheses(lexer: Lexer): void {
  lexer.expect("(");
  for (let depth = 1; depth > 0; ) {
    const token = lexer.next();
    if (token.kind === "end") throw badImage(token.line, "a parenthesis is not closed");
    if (token.text === "(") depth++;
    if (token.text === ")") depth--;
  }
}
