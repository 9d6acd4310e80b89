/** What would become of a request, as the message of pool.proto. */
import type { ExplainResponse } from "../../proto/generated/sluice/v1/ExplainResponse.ts";
import { errorTable } from "../../shared/errors.ts";
import type { Explanation } from "../pool/types.ts";
import { reasonMessages, sliceMessage } from "./messages.ts";

export function explanationMessage(explanation: Explanation): ExplainResponse {
  switch (explanation.kind) {
    case "granted":
      return {
        granted: { slices: explanation.slices.map(sliceMessage), warnings: [...explanation.warnings] },
      };
    case "queued":
      return {
        queued: {
          position: explanation.position,
          reasons: reasonMessages(explanation.reasons),
          blockingLeaseIds: [...explanation.blockers],
          startsAtMs: explanation.startsAt ?? 0,
        },
      };
    case "refused": {
      const { code, message, reasons } = explanation;
      return { refused: { code, message, remedy: errorTable[code].remedy, reasons: reasonMessages(reasons) } };
    }
  }
}
