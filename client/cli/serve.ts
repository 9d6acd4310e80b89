/**
 * `sluice serve`: the door to the server, in the same binary. The client's code must not depend on the server's, so the server is
 * named by its place in the package and loaded only when it is asked for; a client never pays for it.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { packageFolder } from "../package-folder.ts";
import { ExitError } from "./failure.ts";

type ServeModule = { readonly serve: (argv: readonly string[]) => Promise<number> };

/** Runs the server with these arguments, and ends as it ends. */
export async function serve(argv: readonly string[]): Promise<never> {
  const file = import.meta.url.endsWith(".ts") ? "server/main.ts" : "dist/server/main.js";
  const server = (await import(pathToFileURL(join(packageFolder, file)).href)) as ServeModule;
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
