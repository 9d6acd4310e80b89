/** What each of several servers says of a request before it is made: whether it would serve it now, later or never. */
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Control } from "../control.ts";
import { type Explanation, explanationOf } from "../explanation.ts";
import { compareOffers, type Offer } from "./choice.ts";
import { requestFor } from "./filter.ts";

export type Answer =
  | { readonly kind: "now"; readonly explanation: Extract<Explanation, { outcome: "granted" }>; readonly offer: Offer }
  | { readonly kind: "later"; readonly explanation: Extract<Explanation, { outcome: "queued" }> }
  | {
      readonly kind: "never";
      readonly explanation: Extract<Explanation, { outcome: "refused" }>;
      readonly error: SluiceError;
    };

/** A server, the request as it is for that one, and what it says: nothing while it is still asked. */
export interface Surveyed {
  readonly control: Control;
  readonly request: AllocateRequest;
  readonly answer: Answer | undefined;
  /** Why there is no answer. */
  readonly failure: SluiceError | undefined;
  /** Resolved when there is an answer or a failure. */
  readonly heard: Promise<void>;
}

/** Asks one server; no request is one whose filters leave it out. The devices say how well an offer fits, and where to connect. */
export async function answerOf(
  control: Control,
  request: AllocateRequest | undefined,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  if (request === undefined) return refusal(filteredOut(control));
  const [response, { devices }] = await Promise.all([control.explain(request, signal), control.listDevices(signal)]);
  const explanation = explanationOf(response);
  switch (explanation.outcome) {
    case "granted":
      return { kind: "now", explanation, offer: { ...explanation, devices } };
    case "queued":
      return { kind: "later", explanation };
    case "refused": {
      const { code, message, reasons } = explanation;
      return refusal(new SluiceError(code as ErrorCode, message, reasons.length === 0 ? {} : { reasons }));
    }
  }
}

const filteredOut = ({ name }: Control): SluiceError =>
  new SluiceError("IMPOSSIBLE_REQUEST", `The filters of the request leave out the server [${name}].`);

function refusal(error: SluiceError): Answer {
  const { code, message, remedy, details } = error;
  const explanation = { outcome: "refused", code, message, remedy, reasons: details.reasons ?? [] } as const;
  return { kind: "never", explanation, error };
}

/** Asks all at once. */
export function survey(controls: readonly Control[], request: AllocateRequest, signal?: AbortSignal): Surveyed[] {
  return controls.map((control) => {
    const own = requestFor(control, controls, request);
    let answer: Answer | undefined;
    let failure: SluiceError | undefined;
    const heard = answerOf(control, own, signal).then(
      (said) => {
        answer = said;
      },
      (error: unknown) => {
        failure = toSluiceError(error);
      },
    );
    return {
      control,
      request: own ?? request,
      heard,
      get answer() {
        return answer;
      },
      get failure() {
        return failure;
      },
    };
  });
}

const kinds = ["now", "later", "never"] as const;

/** Below 0 when `a` is the better answer, 0 when both are as good. */
export function compareAnswers(a: Answer, b: Answer, policy: AllocateRequest["policy"]): number {
  if (a.kind === "now" && b.kind === "now") return compareOffers(a.offer, b.offer, policy);
  if (a.kind === "later" && b.kind === "later") return a.explanation.position - b.explanation.position;
  return kinds.indexOf(a.kind) - kinds.indexOf(b.kind);
}
