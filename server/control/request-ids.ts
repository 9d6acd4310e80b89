/**
 * The ids that clients give their requests: a client that asks again with the same one, because the answer got lost, gets what became of
 * the first. An id counts within its tenant; an empty one is none.
 */
export class RequestIds {
  readonly #idByKey = new Map<string, string>();
  readonly #keyById = new Map<string, string>();

  add(tenant: string, requestId: string, id: string): void {
    if (requestId === "") return;
    const key = keyOf(tenant, requestId);
    this.#idByKey.set(key, id);
    this.#keyById.set(id, key);
  }

  /** The pool's id of the request or of its lease. */
  find(tenant: string, requestId: string): string | undefined {
    return this.#idByKey.get(keyOf(tenant, requestId));
  }

  /** Forgets a request that is over, or the lease that it became. */
  delete(id: string): void {
    const key = this.#keyById.get(id);
    if (key === undefined) return;
    this.#keyById.delete(id);
    if (this.#idByKey.get(key) === id) this.#idByKey.delete(key);
  }
}

const keyOf = (tenant: string, requestId: string): string => `${tenant}\n${requestId}`;
