/** Token buckets by key: how often somebody may ask. Forgets who asks seldom; memory is bounded whoever asks. */

/** Callers remembered at once; beyond it the one that was quiet longest is forgotten. */
const KEYS_MAX = 10_000;

export interface RateLimitOptions {
  /** On average; 0 is no limit. */
  readonly perSecond: number;
  /** At once, after a silence. */
  readonly burst: number;
}

interface Bucket {
  level: number;
  at: number;
}

export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** Whether `take` would succeed; changes nothing. */
  has(key: string, now: number): boolean {
    const known = this.#buckets.get(key);
    return this.#options.perSecond === 0 || known === undefined || this.#levelOf(known, now) >= 1;
  }

  /** Whether the caller may ask at `now` (milliseconds); a refused question costs nothing. */
  take(key: string, now: number): boolean {
    const { perSecond, burst } = this.#options;
    if (perSecond === 0) return true;
    const known = this.#buckets.get(key);
    // The order of the map is that of the last question.
    this.#buckets.delete(key);
    const bucket = { level: known === undefined ? burst : this.#levelOf(known, now), at: now };
    const allowed = bucket.level >= 1;
    if (allowed) bucket.level--;
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > KEYS_MAX) {
      for (const oldest of this.#buckets.keys()) {
        this.#buckets.delete(oldest);
        break;
      }
    }
    return allowed;
  }

  /** Milliseconds from `now` until `take` would succeed. */
  waitMs(key: string, now: number): number {
    const known = this.#buckets.get(key);
    if (known === undefined || this.has(key, now)) return 0;
    return Math.ceil(((1 - this.#levelOf(known, now)) * 1000) / this.#options.perSecond);
  }

  #levelOf({ level, at }: Bucket, now: number): number {
    const { perSecond, burst } = this.#options;
    return Math.min(burst, level + ((now - at) * perSecond) / 1000);
  }
}
