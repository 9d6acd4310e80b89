/** One server or several behind a command: asked for all they have, for one thing that one of them has, or for what only one can do. */
import { SluiceError } from "../../shared/errors.ts";
import type { Control } from "../control.ts";
import { Fleet, type FromServer, failureOf, onOwner, type ThingKind } from "../fleet/index.ts";
import { accessToServers } from "../server-access.ts";
import { ExitCode, ExitError, sentence } from "./failure.ts";
import { note } from "./output.ts";
import { type Column, serverColumn } from "./table.ts";

export { things } from "../fleet/index.ts";

export interface ServerOptions {
  readonly server?: readonly string[] | undefined;
  readonly bundle?: string | undefined;
}

/** Runs `work` with the servers, and closes the connections whatever happens. */
export async function withFleet<T>({ server, bundle }: ServerOptions, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  const fleet = new Fleet(accessToServers({ server, bundle }, process.env), { tell: note });
  try {
    return await work(fleet);
  } finally {
    await fleet.close();
  }
}

/** Runs `work` with the one server. @throws SluiceError BAD_ARGUMENT where there are several */
export const withControl = <T>(options: ServerOptions, work: (control: Control) => Promise<T>): Promise<T> =>
  withFleet(options, async ({ only, controls }) => {
    if (only !== undefined) return await work(only);
    const names = controls.map(({ name }) => name).join(", ");
    throw new SluiceError("BAD_ARGUMENT", `This is for one server, and there are [${names}]: name it with [--server].`);
  });

/** How long a slow server has to say whether it has done what the others have. */
const CHANGE_LATE_MS = 10_000;

/** Does something on each server, shows what those say that have done it, and fails if one has not. */
export async function changeEach<T>(
  fleet: Fleet,
  change: (control: Control) => Promise<T>,
  show: (answers: readonly FromServer<T>[]) => void | Promise<void>,
): Promise<void> {
  const { answers, failures } = await fleet.outcomes(change, CHANGE_LATE_MS);
  if (answers.length === 0) throw failureOf(failures);
  await show(answers);
  for (const { control, error } of failures) note(`Not on the server ${control.name}: ${sentence(error)}`);
  if (failures.length > 0) throw new ExitError(ExitCode.FAILED);
}

/** Does something to the thing of that name, on the server that has it. */
export const actOn = async <T>(
  options: ServerOptions,
  thing: { readonly name: string; readonly kind: ThingKind },
  act: (control: Control, id: string) => Promise<T>,
): Promise<T> => (await withFleet(options, (fleet) => onOwner(fleet, thing, act))).answer;

/** An item of a list, and whose it is. */
export interface Item<T> {
  readonly control: Control;
  readonly item: T;
}

/** All items of the servers' lists. */
export const itemsOf = <T, I>(answers: readonly FromServer<T>[], list: (answer: T) => readonly I[]): Item<I>[] =>
  answers.flatMap(({ control, answer }) => list(answer).map((item) => ({ control, item })));

/** For JSON: each item with its server's address. */
export const withServers = <I extends object>(items: readonly Item<I>[]): (I & { readonly server: string })[] =>
  items.map(({ control, item }) => ({ ...item, server: control.address }));

/** Columns and rows of a table, with the server in the first where there are several. */
export function serversTable<I>(
  fleet: Pick<Fleet, "only">,
  {
    columns,
    items,
    row,
  }: { columns: readonly Column[]; items: readonly Item<I>[]; row: (item: I) => readonly string[] },
): [columns: readonly Column[], rows: (readonly string[])[]] {
  if (fleet.only !== undefined) return [columns, items.map(({ item }) => row(item))];
  return [[serverColumn, ...columns], items.map(({ control, item }) => [control.name, ...row(item)])];
}
