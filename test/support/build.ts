/** Builds the package before any test, since the end-to-end tests run what users run: dist. */
import { execFileSync } from "node:child_process";

export default function build(): void {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b", "client", "server"], { stdio: "inherit" });
}
