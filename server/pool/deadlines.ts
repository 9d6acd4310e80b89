/**
 * What is to happen when: a binary heap in which an entry can be taken out before its time. Entries of one time come out in the
 * order in which they went in.
 */

/** A place in the heap. Keep it to cancel it; it belongs to one heap. */
export interface Deadline<T> {
  readonly at: number;
  readonly what: T;
  /** For the heap alone. */
  readonly order: number;
  index: number;
}

const isBefore = <T>(a: Deadline<T>, b: Deadline<T>): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Deadlines<T> {
  readonly #heap: Deadline<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** The time of the next entry. */
  next(): number | undefined {
    return this.#heap[0]?.at;
  }

  add(at: number, what: T): Deadline<T> {
    const entry: Deadline<T> = { at, what, order: this.#order++, index: this.#heap.length };
    this.#heap.push(entry);
    this.#rise(entry);
    return entry;
  }

  /** Takes an entry out; one that is out already stays so. */
  cancel(entry: Deadline<T> | undefined): void {
    if (entry === undefined || entry.index < 0) return;
    const at = entry.index;
    const last = this.#heap.pop()!;
    entry.index = -1;
    if (last === entry) return;
    last.index = at;
    this.#heap[at] = last;
    this.#rise(last);
    this.#sink(last);
  }

  /** Takes the next entry out if its time has come. */
  due(now: number): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.cancel(first);
    return first.what;
  }

  #place(entry: Deadline<T>, index: number): void {
    entry.index = index;
    this.#heap[index] = entry;
  }

  #rise(entry: Deadline<T>): void {
    let at = entry.index;
    while (at > 0) {
      const above = this.#heap[(at - 1) >> 1]!;
      if (!isBefore(entry, above)) break;
      this.#place(above, at);
      at = (at - 1) >> 1;
    }
    this.#place(entry, at);
  }

  #sink(entry: Deadline<T>): void {
    let at = entry.index;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && isBefore(this.#heap[child + 1]!, this.#heap[child]!)) child++;
      if (!isBefore(this.#heap[child]!, entry)) break;
      this.#place(this.#heap[child]!, at);
      at = child;
    }
    this.#place(entry, at);
  }
}
