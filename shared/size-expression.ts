/**
 * How large something is, as the tables of libraries' functions say it: integers and names of arguments with `+`, `-`, `*`, parentheses, `max(a,b)`, `min(a,b)`
 * and `a==b`, which is 1 or 0. `==` binds least, `*` most. `matrix(rows,columns,leading)` is how many elements a matrix of columns reaches over, each so many
 * behind the one before it, and `matrices(rows,columns,leading,stride,count)` several of them; 0 where there are none, or nothing in them.
 */
export type SizeExpression =
  | { readonly value: bigint }
  | { readonly name: string }
  /** Rows, columns, leading dimension, stride and count of matrices. */
  | { readonly reach: readonly SizeExpression[] }
  | {
      readonly operation: SizeOperation;
      readonly left: SizeExpression;
      readonly right: SizeExpression;
    };
export type SizeOperation = "+" | "-" | "*" | "==" | "max" | "min";

/** Operations between operands, by how they bind: the first least. */
const levels: readonly (readonly SizeOperation[])[] = [["=="], ["+", "-"], ["*"]];

/** What stands before parentheses, and how many operands in them. */
const functions: Readonly<Record<string, number>> = { max: 2, min: 2, matrix: 3, matrices: 5 };

class Parser {
  readonly #text: string;
  readonly #tokens: string[];

  constructor(text: string) {
    this.#text = text;
    this.#tokens = text.match(/\w+|==|[-+*(),]|./g) ?? [];
  }

  whole(): SizeExpression {
    const expression = this.#level(0);
    if (this.#tokens.length > 0) throw this.#wrong();
    return expression;
  }

  #level(index: number): SizeExpression {
    const operations = levels[index];
    if (operations === undefined) return this.#operand();
    let left = this.#level(index + 1);
    for (;;) {
      const operation = operations.find((each) => each === this.#tokens[0]);
      if (operation === undefined) return left;
      this.#tokens.shift();
      left = { operation, left, right: this.#level(index + 1) };
    }
  }

  #operand(): SizeExpression {
    const token = this.#tokens.shift() ?? "";
    if (/^\d+$/.test(token)) return { value: BigInt(token) };
    if (token === "(") {
      const inner = this.#level(0);
      this.#expect(")");
      return inner;
    }
    if (!/^\w+$/.test(token)) throw this.#wrong();
    const operands = functions[token];
    if (operands === undefined) return { name: token };
    const given = Array.from({ length: operands }, (_, index) => {
      this.#expect(index === 0 ? "(" : ",");
      return this.#level(0);
    });
    this.#expect(")");
    if (token === "max" || token === "min") return { operation: token, left: given[0]!, right: given[1]! };
    const [rows, columns, leading, stride = { value: 0n }, count = { value: 1n }] = given;
    return { reach: [rows!, columns!, leading!, stride, count] };
  }

  #expect(token: string): void {
    if (this.#tokens.shift() !== token) throw this.#wrong();
  }

  #wrong(): Error {
    return new Error(`A size in the tables of functions is [${this.#text}].`);
  }
}

export const parseSize = (text: string): SizeExpression => new Parser(text).whole();

/** All names in an expression. */
export function namesOf(expression: SizeExpression): string[] {
  if ("name" in expression) return [expression.name];
  if ("reach" in expression) return expression.reach.flatMap(namesOf);
  return "value" in expression ? [] : [...namesOf(expression.left), ...namesOf(expression.right)];
}

/** From the first element to behind the last one of matrices. */
function reachOf([rows = 0n, columns = 0n, leading = 0n, stride = 0n, count = 0n]: readonly bigint[]): bigint {
  if (rows <= 0n || columns <= 0n || count <= 0n) return 0n;
  return stride * (count - 1n) + leading * (columns - 1n) + rows;
}

/** What it comes to, with what each name stands for. */
export function sizeOf(expression: SizeExpression, named: (name: string) => bigint): bigint {
  if ("name" in expression) return named(expression.name);
  if ("value" in expression) return expression.value;
  if ("reach" in expression) return reachOf(expression.reach.map((each) => sizeOf(each, named)));
  const [left, right] = [sizeOf(expression.left, named), sizeOf(expression.right, named)];
  switch (expression.operation) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "==":
      return left === right ? 1n : 0n;
    case "max":
      return left > right ? left : right;
    case "min":
      return left < right ? left : right;
  }
}
