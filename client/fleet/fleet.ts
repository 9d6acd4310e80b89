/**
 * The servers that a client knows as one pool. Nothing stands between them: the client asks all at once, goes on without those that do not
 * answer, and says so once. With one server every call is that server's own, and as fast.
 */
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import { isSameServer, portOf } from "../address.ts";
import { Control, type ControlOptions } from "../control.ts";
import { type LeaseWish, requestLease } from "../early-link.ts";
import type { Explanation } from "../explanation.ts";
import type { ServerAccess } from "../server-access.ts";
import { failureOf, type ServerFailure, shortWords, silence } from "./failure.ts";
import { requestFor } from "./filter.ts";
import { within } from "./first-grant.ts";
import { type FleetGrant, FleetRequest, LATE_MS_MAX, PATIENCE_MS } from "./request.ts";
import { answerOf, compareAnswers } from "./survey.ts";

/** How long requests that are called off elsewhere have, when the pool is closed. */
const REST_MS_MAX = 2_000;

export interface FleetOptions extends ControlOptions {
  /** Hears, once for each server until it answers again, which server the others go on without, as a sentence. */
  readonly tell: (words: string) => void;
  /** As in `FleetRequestOptions`. */
  readonly patienceMs?: number;
}

/** An answer, and whose it is. */
export interface FromServer<T> {
  readonly control: Control;
  readonly answer: T;
}

type Explained = FromServer<Explanation>;

export class Fleet {
  readonly controls: readonly [Control, ...Control[]];
  readonly #tell: (words: string) => void;
  readonly #patienceMs: number | undefined;
  /** Servers that were told to be left out. */
  readonly #leftOut = new Set<Control>();
  readonly #rests = new Set<Promise<unknown>>();

  constructor(
    [first, ...others]: readonly [ServerAccess, ...ServerAccess[]],
    { tell, patienceMs, ...options }: FleetOptions,
  ) {
    this.#tell = tell;
    this.#patienceMs = patienceMs;
    this.controls = [
      new Control({ ...first, ...options }),
      ...others.map((access) => new Control({ ...access, ...options })),
    ];
  }

  /** The one server, where there is but one. */
  get only(): Control | undefined {
    return this.controls.length === 1 ? this.controls[0] : undefined;
  }

  /** Asks for a lease as `requestLease` does, on whichever server serves it best or first. */
  async request(wish: LeaseWish): Promise<FleetGrant> {
    const { only } = this;
    if (only !== undefined) return { ...(await requestLease(only, wish)), control: only };
    return await new FleetRequest({
      controls: this.controls,
      wish,
      patienceMs: this.#patienceMs,
      onLeftOut: (control, error) => this.#leaveOut(control, error),
      onRest: (rest) => {
        this.#rests.add(rest);
        void rest.then(() => this.#rests.delete(rest));
      },
    }).grant();
  }

  /** What would become of a request, on each server that says so, the best answer first. @throws as `each` does */
  async explain(request: AllocateRequest, signal?: AbortSignal): Promise<[Explained, ...Explained[]]> {
    const known = await this.each((control) => answerOf(control, requestFor(control, this.controls, request), signal));
    known.sort((a, b) => compareAnswers(a.answer, b.answer, request.policy));
    const [first, ...others] = known.map(({ control, answer: { explanation } }) => ({ control, answer: explanation }));
    return [first!, ...others];
  }

  /**
   * Asks all at once. Answers come in the order of the servers; a server that fails is left out, one that is slow once the others have had
   * their answers for a while.
   * @throws SluiceError what they have against it, when none answers
   */
  async each<T>(ask: (control: Control) => Promise<T>): Promise<[FromServer<T>, ...FromServer<T>[]]> {
    const { answers, failures } = await this.outcomes(ask);
    const [first, ...others] = answers;
    if (first === undefined) throw failureOf(failures);
    for (const { control, error } of failures) this.#leaveOut(control, error);
    return [first, ...others];
  }

  /** As `each`, with what the others have against it, of which nobody is told here. Waits for those that are slow until `lateMs` behind the first answer. */
  async outcomes<T>(
    ask: (control: Control) => Promise<T>,
    lateMs = LATE_MS_MAX,
  ): Promise<{
    readonly answers: readonly FromServer<T>[];
    readonly failures: readonly (ServerFailure & { readonly control: Control })[];
  }> {
    const answers = new Map<Control, T>();
    const failures = new Map<Control, SluiceError>();
    let isAnswered = (): void => {};
    const answered = new Promise<void>((resolve) => {
      isAnswered = resolve;
    });
    const asked = this.controls.map(async (control) => {
      try {
        answers.set(control, await ask(control));
        this.#leftOut.delete(control);
        isAnswered();
      } catch (error) {
        failures.set(control, toSluiceError(error));
      }
    });
    await Promise.race([answered, Promise.all(asked)]);
    await within(lateMs, asked);
    return {
      answers: this.controls.flatMap((control) =>
        answers.has(control) ? [{ control, answer: answers.get(control)! }] : [],
      ),
      failures: this.controls.flatMap((control) =>
        answers.has(control) ? [] : [{ control, error: failures.get(control) ?? silence(control) }],
      ),
    };
  }

  /** Asks whether a server is there. @throws SluiceError what they have against it, when none is */
  async greet(signal: AbortSignal | undefined): Promise<void> {
    const { answers, failures } = await this.outcomes((control) => control.listDevices(signal), PATIENCE_MS);
    if (answers.length === 0) throw failureOf(failures);
  }

  /** The server that is meant by an address; by a host alone the one with the usual port there, or the only one. @throws SluiceError BAD_ARGUMENT */
  named(text: string): Control {
    const found = this.controls.find(({ address }) => isSameServer(address, text));
    if (found !== undefined) return found;
    const [there, other] = this.controls.filter(({ address }) => isSameServer(address, text, portOf(address)));
    if (there !== undefined && other === undefined) return there;
    const names = this.controls.map(({ name }) => name).join(", ");
    throw new SluiceError("BAD_ARGUMENT", `The server [${text}] is none of [${names}].`);
  }

  /** Resolves when nothing is left to be withdrawn or given back, or after REST_MS_MAX: servers know what to do then. */
  async close(): Promise<void> {
    if (this.#rests.size > 0) await within(REST_MS_MAX, [...this.#rests]);
    for (const control of this.controls) control.close();
  }

  #leaveOut(control: Control, error: SluiceError): void {
    if (this.#leftOut.has(control)) return;
    this.#leftOut.add(control);
    this.#tell(`The server ${control.name} is left out: ${shortWords(error)}`);
  }
}
