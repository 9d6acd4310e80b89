/** What several servers have against something, as one error: each by its name, what all say only once. */
import { type DeviceReason, type ErrorCode, SluiceError } from "../../shared/errors.ts";
import type { Control } from "../control.ts";

export interface ServerFailure {
  readonly control: Pick<Control, "name">;
  readonly error: SluiceError;
}

/** Of several codes the first here is told: what may pass before what is certain, what a server says before what nobody says. */
const order: readonly ErrorCode[] = [
  "NO_CAPACITY",
  "QUEUE_FULL",
  "BAD_ARGUMENT",
  "QUOTA_EXCEEDED",
  "IMPOSSIBLE_REQUEST",
  "SHUTTING_DOWN",
  "UNAUTHENTICATED",
];

const rank = (code: ErrorCode): number => (order.includes(code) ? order.indexOf(code) : order.length);

/** What one server says, for a sentence that names it already. */
export const shortWords = (error: SluiceError): string =>
  error.message.replace(/^The server \[[^\]]*\] does not answer/, "it does not answer");

/** Reasons by the names that people use for devices of several servers. */
export const reasonsAt = (server: string, reasons: readonly DeviceReason[]): DeviceReason[] =>
  reasons.map((reason) => {
    if (reason.device === "") return { ...reason, device: server };
    const device = `${server}/${reason.device}`;
    return { ...reason, device, message: reason.message.replaceAll(`[${reason.device}]`, `[${device}]`) };
  });

/** At least one failure. That of one server is told as it is. */
export function failureOf(failures: readonly ServerFailure[]): SluiceError {
  const [first, ...others] = [...failures].sort((a, b) => rank(a.error.code) - rank(b.error.code));
  if (others.length === 0) return first!.error;
  const { code, message } = first!.error;
  const isSame = others.every(({ error }) => error.code === code && error.message === message);
  const each = failures.map(({ control, error }) => `${control.name}: ${shortWords(error)}`);
  const reasons = failures.flatMap(({ control, error }) => reasonsAt(control.name, error.details.reasons ?? []));
  return new SluiceError(
    code,
    isSame ? message : `None of [${failures.length}] servers does what is asked. ${each.join(" ")}`,
    reasons.length === 0 ? {} : { reasons },
  );
}

/** Of a server that has not answered in time, worded as what gRPC tells of one. */
export const silence = ({ address }: Control): SluiceError =>
  new SluiceError("SERVER_UNREACHABLE", `The server [${address}] does not answer [it says nothing].`);
