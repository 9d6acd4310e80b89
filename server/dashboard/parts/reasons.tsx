/** Why a request waits, in words for every device, as the pool says when it is asked. */
import { useEffect, useState } from "preact/hooks";
import type { ExplainResponse__Output as Explanation } from "../../../proto/generated/sluice/v1/ExplainResponse.ts";
import { ApiError, call } from "../api.ts";
import { duration } from "../format.ts";
import { serverNow, useLive } from "../live/live.ts";
import { linkTo } from "../route.ts";

/** Reasons change while one reads: they are asked for again so often. */
const ASK_MS = 3_000;
const REASONS_SHOWN = 24;

export function Reasons({ id }: { readonly id: string }) {
  const [answer, setAnswer] = useState<Explanation | ApiError | undefined>(undefined);
  const { leases } = useLive().model;
  useEffect(() => {
    let isGone = false;
    const ask = async (): Promise<void> => {
      const said = await call("PoolService/Explain", { queuedId: id }).catch((error: ApiError) => error);
      if (!isGone) setAnswer(said);
    };
    void ask(); // It never rejects.
    const timer = setInterval(() => void ask(), ASK_MS);
    return () => {
      isGone = true;
      clearInterval(timer);
    };
  }, [id]);
  if (answer === undefined) return <p class="quiet">Asking …</p>;
  if (answer instanceof ApiError) return <p class="problem">{answer.message}</p>;
  const { reasons = [], blockingLeaseIds = [], startsAtMs = 0 } = answer.queued ?? {};
  return (
    <div class="reasons">
      <ul>
        {reasons.slice(0, REASONS_SHOWN).map(({ device, message }) => (
          <li key={device}>{message}</li>
        ))}
        {reasons.length > REASONS_SHOWN && <li class="quiet">and {reasons.length - REASONS_SHOWN} devices more</li>}
      </ul>
      {blockingLeaseIds.length > 0 && (
        <p>
          Would have to end first:{" "}
          {blockingLeaseIds.map((lease, index) => (
            <span key={lease}>
              {index > 0 && ", "}
              <a href={linkTo("leases", lease)}>{leases.get(lease)?.name || lease}</a>
            </span>
          ))}
          {startsAtMs > 0 && `, which they do within ${duration(startsAtMs - serverNow())}`}.
        </p>
      )}
    </div>
  );
}
