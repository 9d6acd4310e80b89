/** The package's folder: from its sources, from its build, and where it is installed. */
import { createRequire } from "node:module";
import { dirname } from "node:path";

// The package refers to itself by name.
export const packageFolder = dirname(createRequire(import.meta.url).resolve("sluice/package.json"));
