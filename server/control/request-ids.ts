/**
 * The ids that clients give their requests: a client that asks again with the same one, because the answer got lost, gets what became of
 * the first. An id counts within its tenant; an empty one is none. A request may become several leases.
 */
export class RequestIds {
  readonly #idsByKey = new Map<string, Set<string>>();
  readonly #keyById = new Map<string, string>();

  add(tenant: string, requestId: string, id: string): void {
    if (requestId === "") return;
    const key = keyOf(tenant, requestId);
    const ids = this.#idsByKey.get(key) ?? new Set();
    this.#idsByKey.set(key, ids.add(id));
    this.#keyById.set(id, key);
  }

  /** The pool's id of the request, or of the first of its leases that lives. */
  find(tenant: string, requestId: string): string | undefined {
    const [first] = this.#idsByKey.get(keyOf(tenant, requestId)) ?? [];
    return first;
  }

  /** All that came from the same request, this one included. */
  alike(id: string): readonly string[] {
    const key = this.#keyById.get(id);
    return key === undefined ? [id] : [...this.#idsByKey.get(key)!];
  }

  /** Forgets a request that is over, or a lease that it became. */
  delete(id: string): void {
    const key = this.#keyById.get(id);
    if (key === undefined) return;
    this.#keyById.delete(id);
    const ids = this.#idsByKey.get(key)!;
    ids.delete(id);
    if (ids.size === 0) this.#idsByKey.delete(key);
  }
}

const keyOf = (tenant: string, requestId: string): string => `${tenant}\n${requestId}`;
