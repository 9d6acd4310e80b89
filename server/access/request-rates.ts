/** How often callers may ask, over whatever port: by token, or by address where there are none. */
import { SluiceError } from "../../shared/errors.ts";
import type { Clock } from "../control/clock.ts";
import { hostOf, type Identity } from "./identity.ts";
import { RateLimit } from "./rate-limit.ts";

export class RequestRates {
  readonly #clock: Clock;
  readonly #limit: RateLimit;

  /** On average; a burst may be twice that. 0 is no limit. */
  constructor(perSecond: number, clock: Clock) {
    this.#clock = clock;
    this.#limit = new RateLimit({ perSecond, burst: 2 * perSecond });
  }

  /** Counts a request. Throws SluiceError TOO_MANY_REQUESTS. */
  admit({ tokenId }: Identity, peerAddress: string): void {
    const caller = tokenId || hostOf(peerAddress);
    const now = this.#clock.now();
    if (this.#limit.take(caller, now)) return;
    const retryAfterMs = this.#limit.waitMs(caller, now);
    throw new SluiceError("TOO_MANY_REQUESTS", `The caller [${caller}] asks more often than it may.`, { retryAfterMs });
  }
}
