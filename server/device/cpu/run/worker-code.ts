/** What a worker thread starts with. In the tests of the project test/support/built-worker.ts stands in for this file. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** The built package has plain JavaScript beside this file. */
const isSource = import.meta.url.endsWith(".ts");
const file = new URL(isSource ? "./worker.ts" : "./worker.js", import.meta.url);

/** In a checkout (tsx) a worker must first learn to read TypeScript. */
function sourceLoader(): string {
  const register = createRequire(import.meta.url).resolve("tsx/cjs/api");
  return `require(${JSON.stringify(register)}).register(); require(${JSON.stringify(fileURLToPath(file))});`;
}

/** Its file, or its code. */
export const workerCode: URL | string = isSource ? sourceLoader() : file;
