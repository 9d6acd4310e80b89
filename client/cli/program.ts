/** Every verb of the command `sluice`: each is a file beside this one. `serve` is there for the help alone: main.ts starts the server. */
import { Command } from "commander";
import { VERSION } from "../version.ts";
import { addAuditCommand } from "./audit.ts";
import { addBenchCommand } from "./bench.ts";
import { addCordonCommands } from "./cordon.ts";
import { addDrainCommand } from "./drain.ts";
import { addExplainCommand } from "./explain.ts";
import { addExtendCommand } from "./extend.ts";
import { addHealthCommand } from "./health.ts";
import { addLeasesCommand } from "./leases.ts";
import { addListCommand } from "./list.ts";
import { addQueuedCommands } from "./queued.ts";
import { addQuotaCommand } from "./quota.ts";
import { addReleaseCommand } from "./release.ts";
import { addRequestCommand } from "./request.ts";
import { addReservationCommands } from "./reservations.ts";
import { addResizeCommand } from "./resize.ts";
import { addRevokeCommand } from "./revoke.ts";
import { addRunCommand } from "./run.ts";
import { addServeCommand } from "./serve.ts";
import { addSmiCommand } from "./smi.ts";
import { addSuspendCommands } from "./suspend.ts";
import { addTokenCommand } from "./token.ts";
import { addUsageCommand } from "./usage.ts";
import { addWatchCommand } from "./watch.ts";

/** Reads one command line. */
export function commandLine(): Command {
  const program = new Command("sluice")
    .description("Lends remote GPUs: exact shares of their memory, at run time, over the network.")
    .version(VERSION)
    .enablePositionalOptions()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "sluice: ")) })
    .showHelpAfterError("(add --help for help)")
    // Nothing ends the process on the way: a command that has a lease must give it back first.
    .exitOverride()
    .addHelpText(
      "after",
      `
Examples:
  sluice serve --device cpu          lend this machine's processor
  sluice list                        what is there, and what is free
  sluice run -p 0.25 -- node fit.js  run a program with a quarter of a device`,
    );
  addServeCommand(program);
  addRunCommand(program);
  addRequestCommand(program);
  addReleaseCommand(program);
  addResizeCommand(program);
  addExplainCommand(program);
  addListCommand(program);
  addLeasesCommand(program);
  addSmiCommand(program);
  addWatchCommand(program);
  addHealthCommand(program);
  addUsageCommand(program);
  addBenchCommand(program);
  addCordonCommands(program);
  addDrainCommand(program);
  addRevokeCommand(program);
  addExtendCommand(program);
  addSuspendCommands(program);
  addQueuedCommands(program);
  addReservationCommands(program);
  addQuotaCommand(program);
  addTokenCommand(program);
  addAuditCommand(program);
  return program;
}
