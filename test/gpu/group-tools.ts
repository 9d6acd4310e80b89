/** What the groups of the check have in common: what they know of the card, their servers, bounds and words. */
import type { ChildProcess } from "node:child_process";
import { endExecutorsOf } from "../support/processes.ts";
import { startServer, type TestServer } from "../support/server.ts";
import { withinTime } from "../support/time-left.ts";
import type { MemoryOf } from "./card-memory.ts";
import { killedWithAll, type Row, type Sizes } from "./job.ts";
import { scratchFolder } from "./scratch-folder.ts";

const NOTE_CHARACTERS_MAX = 600;
/** A machine whose driver was asleep takes long for its first contexts. */
export const START_LIMIT_MS = 120_000;
export const CASE_LIMIT_MS = 60_000;

/** What is known of the card before a group begins. */
export interface Card extends MemoryOf {
  /** Memory that is free beside a context, in bytes: what others have of the card is theirs. */
  readonly roomBytes: number;
  /** What of the card was in use before the check; undefined where the card does not tell, or others have some of it. */
  readonly usedBefore: number | undefined;
  readonly sizes: Sizes;
  /** Each group has these seconds; 0: those of its plan. */
  readonly groupLimitS: number;
  /** Of `end to end` only the promises whose names contain one of these. */
  readonly promises: readonly string[];
  /** What the machine's own tools say, some time after the start. */
  readonly inventory: Promise<Record<string, string>>;
}

export type Group = (card: Card) => AsyncGenerator<Row>;

export const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

export const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, NOTE_CHARACTERS_MAX);

export const noteOf = (note: string | undefined): { note?: string } =>
  note === undefined ? {} : { note: note.slice(0, NOTE_CHARACTERS_MAX) };

const servers = new Set<TestServer>();

/** Ends every server that still runs, with its executors. */
export async function stopServers(): Promise<void> {
  await Promise.all([...servers].map((server) => server.stop()));
}

/** Has those that do not end by themselves no more time. */
export function killServers(): void {
  for (const server of servers) server.kill("SIGKILL");
}

/** A server in a folder that goes with the check, however that ends; also while it is starting. */
export async function openServer(...args: string[]): Promise<TestServer> {
  const { folder, remove } = scratchFolder("server");
  // What a check that failed has left borrowed must not hold up the end; and an executor is ready for a lease, as users' servers have one.
  const all = ["--grace", "1s", "--spare-executors", "1", ...args];
  let forget = (): void => undefined;
  const onSpawned = (child: ChildProcess): void => {
    forget = killedWithAll(() => child.kill("SIGKILL"));
  };
  try {
    const server = await startServer({ args: all, state: folder, startMsMax: withinTime(START_LIMIT_MS), onSpawned });
    const stop = async (): Promise<number | string> => {
      const code = await server.stop();
      endExecutorsOf(folder);
      remove();
      return code;
    };
    const own = { ...server, stop, [Symbol.asyncDispose]: async () => void (await stop()) };
    servers.add(own);
    void server.exited.then(() => servers.delete(own));
    return own;
  } finally {
    forget();
  }
}

/** The rows of several sources as they come. */
export async function* merged(sources: readonly AsyncGenerator<Row>[]): AsyncGenerator<Row> {
  const ask = (source: AsyncGenerator<Row>) => {
    const asked = source.next().then((next) => ({ source, next }));
    // One that fails ends the group; what others say then nobody hears.
    asked.catch(() => undefined);
    return asked;
  };
  const waiting = new Map(sources.map((source) => [source, ask(source)]));
  while (waiting.size > 0) {
    const { source, next } = await Promise.race(waiting.values());
    if (next.done === true) waiting.delete(source);
    else {
      waiting.set(source, ask(source));
      yield next.value;
    }
  }
}

/** A failure after `limitMs`, whatever the work does then. */
export async function bounded<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const limit = withinTime(limitMs);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It does not end within [${limit}] ms.`)), limit);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
