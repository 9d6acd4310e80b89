/**
 * Every verb of the command `sluice`: each is a file beside this one, and a command line loads the one that it names, or for help and what is not
 * known all of them. `serve` is there for the help alone: main.ts starts the server.
 */
import { Command } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import { printableComplaint } from "../../shared/printable.ts";
import { VERSION } from "../version.ts";

type AddVerbs = (program: Command) => void;

/** What adds verbs to the program, by their names, in the order of the help. */
const verbs: readonly (readonly [names: readonly string[], load: () => Promise<AddVerbs>])[] = [
  [["serve"], async () => (await import("./serve.ts")).addServeCommand],
  [["run"], async () => (await import("./run.ts")).addRunCommand],
  [["request"], async () => (await import("./request.ts")).addRequestCommand],
  [["release"], async () => (await import("./release.ts")).addReleaseCommand],
  [["resize"], async () => (await import("./resize.ts")).addResizeCommand],
  [["explain"], async () => (await import("./explain.ts")).addExplainCommand],
  [["list"], async () => (await import("./list.ts")).addListCommand],
  [["leases"], async () => (await import("./leases.ts")).addLeasesCommand],
  [["smi"], async () => (await import("./smi.ts")).addSmiCommand],
  [["watch"], async () => (await import("./watch.ts")).addWatchCommand],
  [["health"], async () => (await import("./health.ts")).addHealthCommand],
  [["usage"], async () => (await import("./usage.ts")).addUsageCommand],
  [["bench"], async () => (await import("./bench.ts")).addBenchCommand],
  [["cordon", "uncordon"], async () => (await import("./cordon.ts")).addCordonCommands],
  [["drain"], async () => (await import("./drain.ts")).addDrainCommand],
  [["revoke"], async () => (await import("./revoke.ts")).addRevokeCommand],
  [["extend"], async () => (await import("./extend.ts")).addExtendCommand],
  [["suspend", "resume"], async () => (await import("./suspend.ts")).addSuspendCommands],
  [["cancel", "priority"], async () => (await import("./queued.ts")).addQueuedCommands],
  [["reserve", "unreserve", "reservations"], async () => (await import("./reservations.ts")).addReservationCommands],
  [["quota"], async () => (await import("./quota.ts")).addQuotaCommand],
  [["token"], async () => (await import("./token.ts")).addTokenCommand],
  [["audit"], async () => (await import("./audit.ts")).addAuditCommand],
];

/** Reads a command line whose first word is `verb`. */
export async function commandLine(verb: string | undefined): Promise<Command> {
  const program = new Command("sluice")
    .description("Lends remote GPUs: exact shares of their memory, at run time, over the network.")
    .version(VERSION)
    .enablePositionalOptions()
    .configureOutput({ outputError: (text, write) => write(printableComplaint(text.replace(/^error: /, "sluice: "))) })
    .showHelpAfterError("(add --help for help)")
    // Nothing ends the process on the way: a command that has a lease must give it back first.
    .exitOverride()
    .hook("preAction", (_program, command) => refuseForgotten(command))
    .addHelpText(
      "after",
      `
Examples:
  sluice serve --device cpu          lend this machine's processor
  sluice list                        what is there, and what is free
  sluice run -p 0.25 -- node fit.js  run a program with a quarter of a device`,
    );
  const named = verbs.filter(([names]) => verb !== undefined && names.includes(verb));
  for (const [, load] of named.length > 0 ? named : verbs) (await load())(program);
  return program;
}

/** Options whose text is for people, and may be none. */
const FOR_PEOPLE: ReadonlySet<string> = new Set(["--message", "--name", "--note", "--reason"]);

/**
 * A shell's variable that is not set must not be taken for an option that is not given, nor the next option for a value.
 * @throws SluiceError BAD_ARGUMENT naming the option or argument
 */
function refuseForgotten(command: Command): void {
  const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === "";
  const refuse = (what: string): never => {
    throw new SluiceError("BAD_ARGUMENT", `The ${what}: give it a value, or leave it out.`);
  };
  const flags = new Set<unknown>(command.options.flatMap(({ long, short }) => [long, short]));
  // A variable of the environment that is empty is none.
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === "cli");
  for (const option of given) {
    const values = [command.getOptionValue(option.attributeName())].flat();
    const flag = values.find((value) => typeof value === "string" && flags.has(value));
    if (flag !== undefined) refuse(`option [${option.long}] is followed by [${String(flag)}]`);
    if (!FOR_PEOPLE.has(option.long ?? "") && values.some(isBlank)) refuse(`option [${option.long}] is blank`);
  }
  // What is started may have arguments of any kind.
  if (command.name() !== "run" && command.args.some(isBlank))
    refuse(`arguments have one that is blank [${command.args.join(", ")}]`);
}
