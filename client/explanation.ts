/** What would become of a request, as a program sees it. */
import type { ExplainResponse__Output as ExplainResponse } from "../proto/generated/sluice/v1/ExplainResponse.ts";
import type { Slice__Output as SliceInfo } from "../proto/generated/sluice/v1/Slice.ts";
import { type DeviceReason, SluiceError } from "../shared/errors.ts";
import { type QueuePlace, reasonsOf } from "./control.ts";

export type { Slice__Output as SliceInfo } from "../proto/generated/sluice/v1/Slice.ts";

/** The answer of `pool.explain()`; nothing has been asked for or kept. */
export type Explanation =
  /** It would be granted at once. */
  | {
      readonly outcome: "granted";
      /** The slices that it would get. */
      readonly slices: readonly SliceInfo[];
      /** What its holder should know about them, such as that no link joins the devices. */
      readonly warnings: readonly string[];
    }
  /** It would wait. */
  | ({
      readonly outcome: "queued";
      /** Ids of the leases that would have to end first; empty where no end of leases helps. */
      readonly blockingLeaseIds: readonly string[];
    } & QueuePlace)
  /** It would be refused with this error. */
  | {
      readonly outcome: "refused";
      readonly code: string;
      readonly message: string;
      readonly remedy: string;
      readonly reasons: readonly DeviceReason[];
    };

export function explanationOf({ granted, queued, refused }: ExplainResponse): Explanation {
  if (granted) return { outcome: "granted", slices: granted.slices, warnings: granted.warnings };
  if (queued) {
    const { position, reasons, blockingLeaseIds, startsAtMs } = queued;
    return {
      outcome: "queued",
      position,
      reasons: reasonsOf(reasons),
      blockingLeaseIds,
      startsAtMs: startsAtMs || undefined,
    };
  }
  if (refused) return { outcome: "refused", ...refused, reasons: reasonsOf(refused.reasons) };
  throw new SluiceError("INTERNAL", "The server explains nothing.");
}
