/** What a worker thread starts with. In the tests of the project test/support/built-worker.ts stands in for this file. */
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const isSource = import.meta.url.endsWith(".ts");
const path = isSource ? "server/device/cpu/run/worker.ts" : "dist/server/device/cpu/run/worker.js";
const file = new URL(path, pathToFileURL(require.resolve("sluice/package.json")));

/** In a checkout (tsx) a worker must first learn to read TypeScript. */
function sourceLoader(): string {
  const register = require.resolve("tsx/cjs/api");
  return `require(${JSON.stringify(register)}).register(); require(${JSON.stringify(fileURLToPath(file))});`;
}

/** Its file, or its code. */
export const workerCode: URL | string = isSource ? sourceLoader() : file;
