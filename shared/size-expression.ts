/**
 * How large something is, as the tables of libraries' functions say it: integers and names of arguments with `+`, `-`, `*`, parentheses, `max(a,b)`, `min(a,b)`
 * and `a==b`, which is 1 or 0. `==` binds least, `*` most.
 */
export type SizeExpression =
  | { readonly value: bigint }
  | { readonly name: string }
  | {
      readonly operation: SizeOperation;
      readonly left: SizeExpression;
      readonly right: SizeExpression;
    };
export type SizeOperation = "+" | "-" | "*" | "==" | "max" | "min";

/** Operations between operands, by how they bind: the first least. */
const levels: readonly (readonly SizeOperation[])[] = [["=="], ["+", "-"], ["*"]];

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
    if (token !== "max" && token !== "min") return { name: token };
    this.#expect("(");
    const left = this.#level(0);
    this.#expect(",");
    const right = this.#level(0);
    this.#expect(")");
    return { operation: token, left, right };
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
  return "value" in expression ? [] : [...namesOf(expression.left), ...namesOf(expression.right)];
}

/** What it comes to, with what each name stands for. */
export function sizeOf(expression: SizeExpression, named: (name: string) => bigint): bigint {
  if ("name" in expression) return named(expression.name);
  if ("value" in expression) return expression.value;
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
