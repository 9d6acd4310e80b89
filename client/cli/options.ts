/** Options that several commands share, read and checked while the command line is read: a wrong value is bad usage. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import { parseDuration, parseFraction, parseSize } from "../../shared/units.ts";
import { parseHostPort, SERVER_PORT_DEFAULT } from "../address.ts";
import {
  checkedCompute,
  checkedDevices,
  checkedLeases,
  type PolicyName,
  type Priority,
  policies,
  priorityFields,
  type ShareOptions,
  type SharingModeName,
  sharingModes,
} from "../allocate-options.ts";
import { BUNDLE_VARIABLE, SERVER_DEFAULT, SERVER_VARIABLE } from "../environment.ts";

export { type ServerOptions, withControl } from "./servers.ts";

export interface JsonOptions {
  readonly json?: true;
}

/** What `--devices`, `--fraction`, `--memory` and their kin become. */
export interface SlicesFlags {
  readonly devices: number;
  readonly fraction?: number;
  readonly memory?: number;
  readonly filter?: readonly string[];
  readonly policy?: PolicyName;
  readonly tolerate?: readonly string[];
  readonly avoid?: readonly string[];
  readonly sameDevice?: true;
  readonly name?: string;
}

/** What those of a request become. */
export interface ShareFlags extends SlicesFlags {
  readonly processes: number;
  readonly wait?: number;
  readonly mode?: SharingModeName;
  readonly priority?: Priority;
  readonly reservation?: string;
  readonly idleTimeout?: number;
  readonly compute?: number;
}

/** A reader of a value whose complaint becomes commander's. */
function reading<T>(read: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return read(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof SluiceError ? error.message : String(error));
    }
  };
}

export const readDuration = reading(parseDuration);
/** How long something lasts: where 0 would be taken for no bound. */
export const readLifetime = reading((text) => {
  const milliseconds = parseDuration(text);
  if (milliseconds > 0) return milliseconds;
  throw new SluiceError("BAD_ARGUMENT", `It would last for [${text}], and that is no time.`);
});
export const readSize = reading(parseSize);
/** A priority, which is checked here and sent as it is. */
export const readPriority = reading((text): Priority => {
  priorityFields(text);
  return text;
});

function countOf(text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new SluiceError("BAD_ARGUMENT", `A count is a whole number, and [${text}] is not.`);
  return Number(text);
}

/** A count of things, 0 or more. */
export const readCount = reading(countOf);

/** The address of a server, as it is written. */
export const readAddress = reading((text) => {
  parseHostPort(text, SERVER_PORT_DEFAULT);
  return text;
});

/** A time as `2026-01-31`, `2026-01-31T12:00:00Z` or, so long ago, as a duration such as `7d`: milliseconds since the epoch. */
export const readTime = reading((text) => {
  const at = /^\d{4}-/.test(text) ? Date.parse(text) : Date.now() - parseDuration(text);
  if (Number.isSafeInteger(at) && at >= 0) return at;
  throw new SluiceError(
    "BAD_ARGUMENT",
    `A time is written as 2026-01-31, 2026-01-31T12:00:00Z or 7d, and [${text}] is not.`,
  );
});

/** Who may: for the help of verbs that change something. */
export const ADMINS_ALONE = `Needs an admin's token; where the server asks for none, its own machine's
loopback address is enough.`;

/** The device of verbs that change one. */
export const DEVICE_ARGUMENT = "its id, such as cuda:0; of several servers gpu1/cuda:0";

/** Who may: for the help of verbs that only read what admins see. */
export const READERS_ALONE = `Needs a token of an admin or a monitor; where the server asks for none, its own
machine's loopback address is enough.`;

/** Gathers the values of an option that may be repeated. */
const gathered = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** `bundle: false` for a command that means something else by it. */
export function addServerOption(command: Command, { bundle = true } = {}): Command {
  command.addOption(
    new Option(
      "--server <host:port>",
      `a server's address; repeatable (default: $${SERVER_VARIABLE}, else ${SERVER_DEFAULT})`,
    ).argParser(gathered),
  );
  if (bundle) command.option("--bundle <file>", `file with address, CA and token (default: $${BUNDLE_VARIABLE})`);
  return command;
}

export function addJsonOption(command: Command): Command {
  return command.option("--json", "print JSON of a stable shape");
}

/** Which devices, how many, and how much of them. */
export function addSlicesOptions(command: Command): Command {
  return command
    .addOption(
      new Option("-n, --devices <count>", "devices, each slice on one of its own")
        .argParser(reading((text) => checkedDevices(countOf(text))))
        .default(1),
    )
    .addOption(
      new Option("-p, --fraction <part>", "part of each device, like 0.25 or 25%")
        .argParser(reading(parseFraction))
        .conflicts("memory"),
    )
    .addOption(new Option("-m, --memory <size>", "memory of each slice, like 4GiB").argParser(reading(parseSize)))
    .addOption(new Option("--filter <condition>", "only devices like device.name~A100; repeatable").argParser(gathered))
    .addOption(new Option("--policy <policy>", "which devices (default: the server's)").choices(policies))
    .addOption(new Option("--tolerate <label>", "tainted devices too; repeatable").argParser(gathered))
    .addOption(new Option("--avoid <label>", "no devices with this label; repeatable").argParser(gathered))
    .option("--same-device", "let several slices lie on one device");
}

/** What may be asked for: slices, for how many, and how. */
export function addShareOptions(command: Command): Command {
  return addSlicesOptions(command)
    .addOption(
      new Option("--processes <count>", "as many shares: for so many CUDA processes at once")
        .argParser(reading((text) => checkedLeases(countOf(text))))
        .default(1),
    )
    .addOption(
      new Option("--compute <part>", "part of each device's time, promised, like 0.25 or 25%").argParser(
        reading((text) => checkedCompute(parseFraction(text))),
      ),
    )
    .addOption(new Option("--mode <mode>", "how devices are shared (default: dynamic)").choices(sharingModes))
    .addOption(
      new Option(
        "--priority <priority>",
        "served first if higher: low, normal, high, or -100 to 100 (default: 0)",
      ).argParser(readPriority),
    )
    .option("--reservation <id>", "fixed slices of this reservation, and no others");
}

/** What a request has that is made, beside its share. */
export function addRequestOptions(command: Command): Command {
  return addShareOptions(command)
    .addOption(
      new Option("--wait <duration>", "wait for capacity, like 30s or 5m")
        .argParser(readDuration)
        .default(0, "not at all"),
    )
    .option("--idle-timeout <duration>", "end after so long without calls (default: the server's)", readDuration)
    .option("--name <text>", "a name for people, such as the job's");
}

/** A command line that names no share asks for whole devices, or for any slice of a profile. */
export function shareOf({ filter, ...flags }: SlicesFlags & Partial<ShareFlags>): ShareOptions {
  const { fraction, memory, mode, reservation } = flags;
  const isAll = (fraction ?? memory ?? reservation) === undefined && mode !== "profile";
  return { ...flags, ...(isAll ? { fraction: 1 } : {}), ...(filter === undefined ? {} : { filters: filter }) };
}
