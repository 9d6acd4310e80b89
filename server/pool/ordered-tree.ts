/**
 * An ordered set as a weight-balanced tree: insert, remove, nearest and rank in logarithmic time, and the same over a weight that
 * each item has. Deterministic: the same operations give the same tree. An item's place and weight are fixed while it is
 * inside: take it out before they change.
 */

interface Node<T> {
  item: T;
  own: number;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
  size: number;
  weight: number;
  /** Of the left subtree, kept here so that a walk down touches only the nodes of its path. */
  leftSize: number;
  leftWeight: number;
}

/** A subtree may be this many times heavier than its sibling, and is turned twice when its inner child is too heavy. */
const DELTA = 3;
const GAMMA = 2;

const sizeOf = <T>(node: Node<T> | undefined): number => (node === undefined ? 0 : node.size);
const weightOf = <T>(node: Node<T> | undefined): number => (node === undefined ? 0 : node.weight);

function update<T>(node: Node<T>): Node<T> {
  node.leftSize = sizeOf(node.left);
  node.leftWeight = weightOf(node.left);
  node.size = node.leftSize + sizeOf(node.right) + 1;
  node.weight = node.leftWeight + weightOf(node.right) + node.own;
  return node;
}

function turnLeft<T>(node: Node<T>): Node<T> {
  const top = node.right!;
  node.right = top.left;
  top.left = update(node);
  return update(top);
}

function turnRight<T>(node: Node<T>): Node<T> {
  const top = node.left!;
  node.left = top.right;
  top.right = update(node);
  return update(top);
}

function balance<T>(node: Node<T>): Node<T> {
  const left = sizeOf(node.left) + 1;
  const right = sizeOf(node.right) + 1;
  if (right > DELTA * left) {
    const child = node.right!;
    if (sizeOf(child.left) + 1 >= GAMMA * (sizeOf(child.right) + 1)) node.right = turnRight(child);
    return turnLeft(node);
  }
  if (left > DELTA * right) {
    const child = node.left!;
    if (sizeOf(child.right) + 1 >= GAMMA * (sizeOf(child.left) + 1)) node.left = turnLeft(child);
    return turnRight(node);
  }
  return update(node);
}

export class OrderedTree<T> {
  #root: Node<T> | undefined;
  readonly #compare: (a: T, b: T) => number;
  readonly #weigh: (item: T) => number;

  /** `compare` is a total order without ties between different items; `weigh` gives 0 or more. */
  constructor(compare: (a: T, b: T) => number, weigh: (item: T) => number = () => 0) {
    this.#compare = compare;
    this.#weigh = weigh;
  }

  get size(): number {
    return sizeOf(this.#root);
  }

  /** The sum of all weights. */
  get weight(): number {
    return weightOf(this.#root);
  }

  insert(item: T): void {
    const own = this.#weigh(item);
    const left = { left: undefined, leftSize: 0, leftWeight: 0 };
    const fresh: Node<T> = { item, own, ...left, right: undefined, size: 1, weight: own };
    this.#root = this.#insertInto(this.#root, fresh);
  }

  #insertInto(node: Node<T> | undefined, fresh: Node<T>): Node<T> {
    if (node === undefined) return fresh;
    const order = this.#compare(fresh.item, node.item);
    if (order === 0) throw new Error("The tree has the item already.");
    if (order < 0) node.left = this.#insertInto(node.left, fresh);
    else node.right = this.#insertInto(node.right, fresh);
    return balance(node);
  }

  /** Throws when the item is not inside: its place changed while it was. */
  remove(item: T): void {
    this.#root = this.#removeFrom(this.#root, item);
  }

  #removeFrom(node: Node<T> | undefined, item: T): Node<T> | undefined {
    if (node === undefined) throw new Error("The tree does not have the item.");
    const order = this.#compare(item, node.item);
    if (order < 0) node.left = this.#removeFrom(node.left, item);
    else if (order > 0) node.right = this.#removeFrom(node.right, item);
    else {
      if (node.left === undefined) return node.right;
      if (node.right === undefined) return node.left;
      let next = node.right;
      while (next.left !== undefined) next = next.left;
      node.item = next.item;
      node.own = next.own;
      node.right = this.#removeFrom(node.right, next.item);
    }
    return balance(node);
  }

  first(): T | undefined {
    let node = this.#root;
    while (node?.left !== undefined) node = node.left;
    return node?.item;
  }

  last(): T | undefined {
    let node = this.#root;
    while (node?.right !== undefined) node = node.right;
    return node?.item;
  }

  /** The first item for which `reaches` is true; it must be false for all items before that one and true from there on. */
  ceiling(reaches: (item: T) => boolean): T | undefined {
    let node = this.#root;
    let found: T | undefined;
    while (node !== undefined) {
      if (reaches(node.item)) {
        found = node.item;
        node = node.left;
      } else node = node.right;
    }
    return found;
  }

  /** How many items stand before this one, which must be inside. */
  rank(item: T): number {
    return this.#before(item).count;
  }

  /** The weight of all items before this one, which must be inside. */
  weightBefore(item: T): number {
    return this.#before(item).weight;
  }

  #before(item: T): { readonly count: number; readonly weight: number } {
    let node = this.#root;
    let count = 0;
    let weight = 0;
    while (node !== undefined) {
      const order = this.#compare(item, node.item);
      if (order === 0) return { count: count + node.leftSize, weight: weight + node.leftWeight };
      if (order < 0) node = node.left;
      else {
        count += node.leftSize + 1;
        weight += node.leftWeight + node.own;
        node = node.right;
      }
    }
    throw new Error("The tree does not have the item.");
  }

  /** How many leading items have `before(weight of the items ahead, item)` true; it must be true up to some item and false from there on. */
  countLeading(before: (weightAhead: number, item: T) => boolean): number {
    let node = this.#root;
    let count = 0;
    let ahead = 0;
    while (node !== undefined) {
      const here = ahead + node.leftWeight;
      if (before(here, node.item)) {
        count += node.leftSize + 1;
        ahead = here + node.own;
        node = node.right;
      } else node = node.left;
    }
    return count;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    const path: Node<T>[] = [];
    let node = this.#root;
    while (node !== undefined || path.length > 0) {
      for (; node !== undefined; node = node.left) path.push(node);
      const top = path.pop()!;
      yield top.item;
      node = top.right;
    }
  }

  /** All items, the last one first. */
  *backwards(): IterableIterator<T> {
    const path: Node<T>[] = [];
    let node = this.#root;
    while (node !== undefined || path.length > 0) {
      for (; node !== undefined; node = node.right) path.push(node);
      const top = path.pop()!;
      yield top.item;
      node = top.left;
    }
  }
}
