/** Runs the groups of the check one after the other, each within its time; what one does, or does not do, holds up no other. */
import { beginGroup, checkLeftMs, isTimeOver, leftMs } from "../support/time-left.ts";
import { countAsKept, keptBytes, leakRow, leftOver } from "./card-memory.ts";
import { type Card, say, stopServers } from "./group-tools.ts";
import { firstGroup, type GroupPlan, groups, limitFor } from "./groups.ts";
import { killChildren, type Row } from "./job.ts";
import { lineOf, type Report } from "./report.ts";

/** Of a row while it runs. */
const SAID_LINE_CHARACTERS_MAX = 200;

export type Outcome = { -readonly [K in keyof Report]: Report[K] } & {
  readonly rows: Row[];
  readonly seconds: Record<string, number>;
};

/** What a group has when its time is over to end by itself. */
const LATE_MS = 5_000;
/** Between two writes of the JSON while a group runs. */
const SAVE_MS = 2_000;

/** The next row; nothing where the group is held up by what no bound of its own ends. */
async function nextRow(rows: AsyncGenerator<Row>): Promise<IteratorResult<Row> | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(0, leftMs()) + LATE_MS);
  });
  const next = rows.next();
  // Of one that is given up nobody hears any more.
  next.catch(() => undefined);
  try {
    return await Promise.race([next, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A run of the check. */
export interface Whole {
  readonly card: Card;
  readonly outcome: Outcome;
  /** Keeps what is found so far. */
  readonly save: () => void;
}

async function runGroup(
  name: string,
  { run, limitS }: Pick<GroupPlan, "run" | "limitS">,
  { card, outcome, save }: Whole,
): Promise<void> {
  const started = performance.now();
  let saved = started;
  say(`${name} …`);
  beginGroup(limitS * 1000);
  const rows = run(card);
  const tooLong = `[${Math.round(limitS)}] seconds of the group are over (--group-limit gives a slow machine more)`;
  try {
    for (;;) {
      const next = await nextRow(rows);
      if (next?.done === true) break;
      if (next !== undefined) {
        outcome.rows.push(next.value);
        if (next.value.isCase !== true || next.value.ok === false)
          say(`  ${lineOf(next.value).slice(0, SAID_LINE_CHARACTERS_MAX)}`);
      }
      // Whoever lends the machine may take it back without a word.
      if (performance.now() - saved > SAVE_MS) {
        save();
        saved = performance.now();
      }
      if (next !== undefined && leftMs() > 0) continue;
      const note = isTimeOver() ? "the time is over" : next === undefined ? `${tooLong}, and it does not end` : tooLong;
      outcome.rows.push({ group: name, name: "the rest of the group", ok: false, note });
      break;
    }
  } catch (error) {
    const note = error instanceof Error ? error.message : String(error);
    outcome.rows.push({ group: name, name: "the group comes to its end", ok: false, note: note.slice(0, 600) });
  }
  killChildren();
  save();
  // A group that was left in the middle has its server still.
  await stopServers();
  outcome.seconds[name] = (performance.now() - started) / 1000;
}

/** Behind all groups: by then what a group left for the driver to give back late has come back, or stays. */
async function tellLeft({ card, outcome }: Whole): Promise<void> {
  const kept = keptBytes(card.device);
  const before = card.usedBefore === undefined ? undefined : card.usedBefore + kept;
  const name = "bytes left on the card at the end";
  beginGroup(card.returnLimitMs);
  const beside = kept === 0 ? {} : { note: `beside [${kept}] bytes that the driver keeps` };
  const row = isTimeOver()
    ? { group: "check", name, isSkipped: true, note: "the time is over" }
    : { ...beside, ...leakRow("check", card.device, await leftOver(card, before), name) };
  say(lineOf(row));
  outcome.rows.push(row);
}

/** The groups that a run has: the first always, and of the others these, or all where none is named. */
export const plansFor = (only: readonly string[]): [string, GroupPlan][] =>
  Object.entries({ start: firstGroup, ...groups }).filter(
    ([name]) => only.length === 0 || name === "start" || only.includes(name),
  );

/** Runs the groups one after the other; what comes of them is in `outcome`. */
export async function runGroups(plans: readonly (readonly [string, GroupPlan])[], whole: Whole): Promise<void> {
  const { card, outcome, save } = whole;
  let isComplete = true;
  for (const [at, [name, group]] of plans.entries()) {
    const needed = outcome.rows.find(({ isNeeded, ok }) => isNeeded === true && ok !== true);
    const why = isTimeOver() ? "the time is over" : needed && `without this nothing else can be: ${needed.name}`;
    const behind = plans.slice(at + 1).map(([, plan]) => plan);
    const limitS = card.groupLimitS > 0 ? card.groupLimitS : limitFor(group, { behind, leftS: checkLeftMs() / 1000 });
    if (why === undefined) await runGroup(name, { ...group, limitS }, whole);
    else {
      outcome.rows.push({ group: name, name: "the group", isSkipped: true, note: `not run, for ${why}` });
      isComplete = false;
    }
    // What the driver keeps from its first work on, as the group tells.
    if (at === 0) countAsKept(card.device, (await leftOver(card, card.usedBefore)) ?? 0);
    // Asked since the start, beside what is not measured.
    outcome.inventory = await card.inventory;
    save();
  }
  await tellLeft(whole);
  outcome.isComplete = isComplete && !isTimeOver();
  save();
}
