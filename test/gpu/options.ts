/** How the check is called: its options, and what `--help` says. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { firstGroup, groups } from "./groups.ts";
import { fullSizes, quickSizes, type Sizes } from "./job.ts";

/** One call of a machine that gives ten minutes. */
const LIMIT_S = 540;

/** Some fifty times what an H100 takes; where a driver keeps something after all, as one does after a first fault, all of it is waited for. */
const RETURN_LIMIT_MS = 5_000;

/** For people, in lines of at most 100 characters. */
export function usage(): string {
  const names = Object.entries({ start: firstGroup, ...groups });
  const width = Math.max(...names.map(([name]) => name.length));
  return [
    "npm run check:gpu -- [OPTION]...     holds an NVIDIA GPU to the promises of the cuda device, and",
    "                                     measures it: about four minutes, longer with few cores",
    "",
    "  --json FILE           write what is found there, again and again; it names no machine, user,",
    "                        path or UUID, so that it can be sent in (bench/README.md says how)",
    "  --device N            the card, by its index in PCI order (default: 0)",
    "  --only GROUP,GROUP    these groups alone",
    `  --limit SECONDS       end after this time; 0: no end (default: ${LIMIT_S})`,
    "  --group-limit SECONDS each group has this time, in place of its own (slow machines need more)",
    "  --promise TEXT        of the group `end to end` only promises whose names contain this; repeatable",
    "  --quick               see that everything runs; the figures mean nothing",
    "",
    "Groups, in their order, and the seconds that each has at most:",
    ...names.map(([name, { limitS, does }]) => `  ${name.padEnd(width)}  ${String(limitS).padStart(3)}  ${does}`),
    "",
    "Needs a driver for CUDA 12.4 or later, a card of compute capability 7.5 or later with 2 GiB free,",
    "Node and this folder, built; no network, no compiler. What a card or machine has not is skipped,",
    "and a sentence says why. Ctrl-C ends it and keeps what was found.",
    "Exit codes: 0 all is well; 1 something failed, a bar is missed, or the time was too short; 2 bad",
    "usage; 77 nothing could be checked, and a sentence says why.",
    "",
  ].join("\n");
}

export interface Options {
  readonly only: readonly string[];
  readonly json: string | undefined;
  readonly device: string;
  readonly limitS: number;
  readonly groupLimitS: number;
  readonly promises: readonly string[];
  readonly help: boolean;
  readonly sizes: Sizes;
  readonly returnLimitMs: number;
}

function secondsOf(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new Error(`The time [${text}] is no number of seconds.`);
}

/** @throws Error in one sentence for what makes no sense */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "string" },
      device: { type: "string", default: "0" },
      only: { type: "string", default: "" },
      limit: { type: "string", default: String(LIMIT_S) },
      "group-limit": { type: "string", default: "0" },
      promise: { type: "string", multiple: true, default: [""] },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const only = values.only.split(",").filter((name) => name !== "");
  const unknown = only.find((name) => name !== "start" && !Object.hasOwn(groups, name));
  if (unknown !== undefined) throw new Error(`There is no group [${unknown}]; there are [${Object.keys(groups)}].`);
  if (!/^\d{1,4}$/.test(values.device))
    throw new Error(`One card is checked at a time, named by its index, like 0, and not by [${values.device}].`);
  return {
    only,
    json: values.json === undefined ? undefined : resolve(values.json),
    limitS: secondsOf(values.limit),
    groupLimitS: secondsOf(values["group-limit"]),
    device: values.device,
    help: values.help,
    promises: values.promise,
    sizes: values.quick ? quickSizes : fullSizes,
    returnLimitMs: RETURN_LIMIT_MS,
  };
}
