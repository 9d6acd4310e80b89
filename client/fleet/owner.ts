/**
 * Which of several servers has the thing that somebody names: a lease, a device, a request, as `ID` or as `SERVER/ID`. Ids of devices are a
 * server's own, and two servers may both have a `cuda:0`; all others are random.
 */
import { type ErrorCode, SluiceError } from "../../shared/errors.ts";
import { admin, type Control } from "../control.ts";
import { failureOf, shortWords } from "./failure.ts";
import type { Fleet, FromServer } from "./fleet.ts";

/** A kind of thing, and how to find out whether a server has one. */
export interface ThingKind {
  readonly noun: string;
  readonly has: (control: Control, id: string) => Promise<boolean>;
  /** Whether several servers may each have one of that id. */
  readonly isAmbiguous?: true;
  /** Whether a server that lists none knows of none: not of what has ended, which only the thing's own calls tell. */
  readonly isListed?: true;
}

const isIn = (things: readonly { readonly id: string }[], id: string): boolean => things.some((each) => each.id === id);

export const things = {
  device: {
    noun: "device",
    has: async (control, id) => isIn((await control.listDevices()).devices, id),
    isAmbiguous: true,
    isListed: true,
  },
  /** Also a request that waits, which is known by the id of its lease. */
  lease: {
    noun: "lease",
    has: async (control, id) => {
      const { leases, queue } = await control.listLeases();
      return isIn(leases, id) || isIn(queue, id);
    },
  },
  reservation: {
    noun: "reservation",
    has: async (control, id) => isIn((await control.ask(admin.ListReservations, {})).reservations, id),
  },
  token: {
    noun: "token",
    has: async (control, id) => isIn((await control.ask(admin.ListTokens, {})).tokens, id),
    isListed: true,
  },
} as const satisfies Record<string, ThingKind>;

/** What a server says that knows nothing of a thing. */
const unknown: ReadonlySet<ErrorCode> = new Set(["LEASE_NOT_FOUND", "REQUEST_NOT_FOUND", "RESERVATION_NOT_FOUND"]);

/**
 * Does something to a thing on the server that has it, and nowhere else.
 * @throws SluiceError BAD_ARGUMENT when it is not certain whose is meant, what the servers say when none has it, and what `act` throws
 */
export async function onOwner<T>(
  fleet: Fleet,
  thing: { readonly name: string; readonly kind: ThingKind },
  act: (control: Control, id: string) => Promise<T>,
): Promise<FromServer<T>> {
  const { control, id } = await ownerOf(fleet, thing);
  if (control !== undefined) return { control, answer: await act(control, id) };
  // No server lists it, and one may still know what became of it.
  const failures = [];
  for (const each of fleet.controls) {
    try {
      return { control: each, answer: await act(each, id) };
    } catch (error) {
      if (!(error instanceof SluiceError) || !unknown.has(error.code)) throw error;
      failures.push({ control: each, error });
    }
  }
  throw failureOf(failures);
}

async function ownerOf(
  fleet: Fleet,
  { name, kind }: { readonly name: string; readonly kind: ThingKind },
): Promise<{ readonly control: Control | undefined; readonly id: string }> {
  const [, server, id = name] = /^(.*)\/([^/]*)$/.exec(name) ?? [];
  if (server !== undefined) return { control: fleet.named(server), id };
  if (fleet.only !== undefined) return { control: fleet.only, id };
  const { answers, failures } = await fleet.outcomes((control) => kind.has(control, id));
  const owners = answers.filter(({ answer }) => answer).map(({ control }) => control);
  const [owner, other] = owners;
  if (other !== undefined) throw ambiguous({ name, kind }, `Each of [${namesOf(owners)}] has one`, owner!);
  const [silent] = failures;
  if (silent === undefined && owner === undefined && kind.isListed)
    throw new SluiceError("BAD_ARGUMENT", `None of [${namesOf(fleet.controls)}] has a ${kind.noun} [${id}].`);
  if (silent === undefined) return { control: owner, id };
  if (owner === undefined) {
    const words = failures.map(({ control, error }) => `${control.name}: ${shortWords(error)}`).join(" ");
    const answered = answers.length === 0 ? "" : ` None of [${namesOf(answers.map((each) => each.control))}] has it.`;
    throw new SluiceError(silent.error.code, `The ${kind.noun} [${name}] is not found.${answered} ${words}`);
  }
  if (kind.isAmbiguous)
    throw ambiguous({ name, kind }, `The server [${silent.control.name}] does not say whether it has one too`, owner);
  return { control: owner, id };
}

const namesOf = (controls: readonly Control[]): string => controls.map(({ name }) => name).join(", ");

const ambiguous = (
  { name, kind }: { readonly name: string; readonly kind: ThingKind },
  why: string,
  owner: Control,
): SluiceError =>
  new SluiceError(
    "BAD_ARGUMENT",
    `It is not certain which ${kind.noun} [${name}] is meant. ${why}: name it as [${owner.name}/${name}], or its server with [--server].`,
  );
