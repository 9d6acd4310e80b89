/**
 * A colour for every tenant, the same from one visit to the next. There are twelve; tenants beyond them get a second pattern of the
 * same colours, so names always stand beside them.
 */

/** Colours in style/tenants.css. */
export const COLOURS = 12;
const REMEMBERED_MAX = 300;
const KEY = "sluice.colours";

/** Where colours are remembered, such as the browser's local storage. */
export interface Memory {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export class TenantColours {
  readonly #memory: Memory | undefined;
  readonly #byTenant = new Map<string, number>();

  constructor(memory: Memory | undefined) {
    this.#memory = memory;
    for (const [tenant, index] of remembered(memory)) this.#byTenant.set(tenant, index);
  }

  /** From 0; from COLOURS on it is the pattern. */
  indexOf(tenant: string): number {
    const known = this.#byTenant.get(tenant);
    if (known !== undefined) return known;
    const taken = new Set(this.#byTenant.values());
    const wanted = hash(tenant) % COLOURS;
    let index = wanted;
    for (let step = 0; step < COLOURS * 2 && taken.has(index); step++) {
      const next = (wanted + step + 1) % COLOURS;
      index = step + 1 < COLOURS ? next : next + COLOURS;
    }
    this.#byTenant.set(tenant, index);
    this.#save();
    return index;
  }

  /** Names of classes: colour, and pattern where it is one. */
  classOf(tenant: string): string {
    const index = this.indexOf(tenant);
    return `tenant tenant-${index % COLOURS}${index >= COLOURS ? " tenant-striped" : ""}`;
  }

  #save(): void {
    try {
      this.#memory?.setItem(KEY, JSON.stringify([...this.#byTenant].slice(-REMEMBERED_MAX)));
    } catch {
      // A browser that remembers nothing gives the colours in the order of appearance.
    }
  }
}

function remembered(memory: Memory | undefined): [string, number][] {
  try {
    const saved: unknown = JSON.parse(memory?.getItem(KEY) ?? "[]");
    if (!Array.isArray(saved)) return [];
    return saved.filter((entry): entry is [string, number] => {
      if (!Array.isArray(entry) || typeof entry[0] !== "string") return false;
      return Number.isInteger(entry[1]) && entry[1] >= 0 && entry[1] < COLOURS * 2;
    });
  } catch {
    return [];
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x0100_0193);
  return value >>> 0;
}

function storage(): Memory | undefined {
  try {
    return (globalThis as { localStorage?: Memory }).localStorage;
  } catch {
    return undefined; // The browser refuses it.
  }
}

export const colours = new TenantColours(storage());
