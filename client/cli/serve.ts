/**
 * `sluice serve`: the door to the server, in the same binary. The client's code must not depend on the server's, so the server is
 * named by its place in the package and loaded only when it is asked for; a client never pays for it.
 */
import type { Command } from "commander";
import { ExitError } from "./failure.ts";

type ServeModule = { readonly serve: (argv: readonly string[]) => Promise<number> };

/** Runs the server with these arguments, and ends as it ends. */
export async function serve(argv: readonly string[]): Promise<never> {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const server = (await import(new URL(`../../server/main.${extension}`, import.meta.url).href)) as ServeModule;
  throw new ExitError(await server.serve(argv));
}

export function addServeCommand(program: Command): void {
  program
    .command("serve")
    .description("lend this machine's devices (see `sluice serve --help`)")
    .argument("[arguments...]")
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action((args: string[]) => serve(args));
}
