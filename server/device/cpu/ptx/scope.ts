/** Names of a function's body: braces nest scopes, and each may hide names of the one around it. */
import { badImage, type Label, type PtxType, type Register, type Variable } from "./program.ts";

/** Registers declared as `%r<N>` are made when first used, so that a huge N costs nothing. */
interface RegisterRange {
  readonly type: PtxType;
  readonly count: number;
}

export class Scope {
  readonly parent: Scope | undefined;
  readonly #names = new Map<string, Register | Variable>();
  readonly #ranges = new Map<string, RegisterRange>();
  readonly #vectors = new Map<string, readonly Register[]>();
  readonly #labels = new Map<string, Label>();

  constructor(parent: Scope | undefined) {
    this.parent = parent;
  }

  declare(name: string, meaning: Register | Variable, line: number): void {
    if (this.#names.has(name)) throw badImage(line, `the name [${name}] is declared twice`);
    this.#names.set(name, meaning);
  }

  declareRange(prefix: string, range: RegisterRange): void {
    this.#ranges.set(prefix, range);
  }

  /** A vector `v` is its elements: registers of their own, with the names `v.x`, `v.y`, ... */
  declareVector(name: string, { type, count }: RegisterRange, line: number): void {
    const elements = [..."xyzw"].slice(0, count).map((place) => ({ name: `${name}.${place}`, type }));
    for (const element of elements) this.declare(element.name, element, line);
    this.#vectors.set(name, elements);
  }

  findVector(name: string): readonly Register[] | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      const elements = scope.#vectors.get(name);
      if (elements !== undefined) return elements;
    }
    return undefined;
  }

  defineLabel(label: Label, line: number): void {
    if (this.#labels.has(label.name)) throw badImage(line, `the label [${label.name}] is defined twice`);
    this.#labels.set(label.name, label);
  }

  find(name: string): Register | Variable | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      const known = scope.#names.get(name) ?? scope.#fromRange(name);
      if (known !== undefined) return known;
    }
    return undefined;
  }

  findLabel(name: string): Label | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.parent) {
      const label = scope.#labels.get(name);
      if (label !== undefined) return label;
    }
    return undefined;
  }

  #fromRange(name: string): Register | undefined {
    if (this.#ranges.size === 0) return undefined;
    let digits = name.length;
    while (digits > 0 && name.charCodeAt(digits - 1) >= 0x30 && name.charCodeAt(digits - 1) <= 0x39) digits--;
    // A prefix may itself end in digits (`%r1_<4>` does not, `%p2<4>` does), so shorter numbers are tried too.
    for (let at = digits; at < name.length; at++) {
      const range = this.#ranges.get(name.slice(0, at));
      if (
        range !== undefined &&
        Number(name.slice(at)) < range.count &&
        String(Number(name.slice(at))) === name.slice(at)
      ) {
        const register = { name, type: range.type };
        this.#names.set(name, register);
        return register;
      }
    }
    return undefined;
  }
}
