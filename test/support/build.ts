/** Builds the package before any test, since the end-to-end tests run what users run: dist. */
import { spawnSync } from "node:child_process";

export default function build(): void {
  const { status } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b", "client", "server"], { stdio: "inherit" });
  if (status !== 0 && process.env["CI"] !== undefined) throw new Error("The package does not build.");
}
