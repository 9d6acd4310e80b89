#!/usr/bin/env node
/**
 * The command `sluice`. `serve` is the server, which loads nothing of a client, and every other verb is one of program.ts, which loads nothing of
 * the server: both start sooner. Failures end in failure.ts.
 */
import { ExitCode, ExitError, reportFailure } from "./failure.ts";
import { note } from "./output.ts";
import { serve } from "./serve.ts";

// A reader that has had enough, such as `head`, is no failure; a full disk is.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return;
  note(`The standard output cannot be written [${error.message}].`);
  process.exitCode = ExitCode.FAILED;
});
// A job must not end because nobody can be told about it.
process.stderr.on("error", () => {});

const [verb, ...rest] = process.argv.slice(2);
try {
  if (verb === "serve") await serve(rest);
  else {
    const program = await (await import("./program.ts")).commandLine(verb);
    await program.parseAsync();
  }
} catch (error) {
  process.exitCode = reportFailure(error);
  // Or a shell's script that runs several in turn would go on with the next.
  if (error instanceof ExitError && error.interrupted) process.kill(process.pid, "SIGINT");
}
