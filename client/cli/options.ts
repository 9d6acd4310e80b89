/** Options that several commands share, read and checked while the command line is read: a wrong value is bad usage. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import { parseDuration, parseFraction, parseSize } from "../../shared/units.ts";
import { checkedDevices, type ShareOptions } from "../allocate-options.ts";
import { Control } from "../control.ts";
import { SERVER_DEFAULT, SERVER_VARIABLE, TOKEN_VARIABLE } from "../environment.ts";

export interface ServerOptions {
  readonly server: string;
}

export interface JsonOptions {
  readonly json?: true;
}

/** What `--devices`, `--fraction`, `--memory` and their kin become. */
export interface ShareFlags {
  readonly devices: number;
  readonly fraction?: number;
  readonly memory?: number;
  readonly wait: number;
  readonly name?: string;
  readonly sameDevice?: true;
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

export function addServerOption(command: Command): Command {
  const option = new Option("--server <host:port>", "address of the server")
    .env(SERVER_VARIABLE)
    .default(SERVER_DEFAULT);
  return command.addOption(option);
}

export function addJsonOption(command: Command): Command {
  return command.option("--json", "print JSON of a stable shape");
}

export function addShareOptions(command: Command): Command {
  return command
    .addOption(
      new Option("-n, --devices <count>", "devices, each slice on one of its own")
        .argParser(reading((text) => checkedDevices(Number(text))))
        .default(1),
    )
    .addOption(
      new Option("-p, --fraction <part>", "part of each device, like 0.25 or 25%")
        .argParser(reading(parseFraction))
        .conflicts("memory"),
    )
    .addOption(new Option("-m, --memory <size>", "memory of each slice, like 4GiB").argParser(reading(parseSize)))
    .addOption(
      new Option("--wait <duration>", "wait for capacity, like 30s or 5m")
        .argParser(readDuration)
        .default(0, "not at all"),
    )
    .option("--name <text>", "a name for people, such as the job's")
    .option("--same-device", "let several slices lie on one device");
}

/** A command line that names no share asks for whole devices. */
export function shareOf(flags: ShareFlags): ShareOptions {
  const { devices, fraction, memory, wait, name, sameDevice } = flags;
  return {
    devices,
    wait,
    ...(memory === undefined ? { fraction: fraction ?? 1 } : { memory }),
    ...(name === undefined ? {} : { name }),
    ...(sameDevice === undefined ? {} : { sameDevice }),
  };
}

/** Runs `work` with a control connection, and closes it whatever happens. */
export async function withControl<T>(options: ServerOptions, work: (control: Control) => Promise<T>): Promise<T> {
  const control = new Control({ server: options.server || SERVER_DEFAULT, token: process.env[TOKEN_VARIABLE] });
  try {
    return await work(control);
  } finally {
    control.close();
  }
}
