/** The version of the package that this file is part of, in dist as in a checkout. */
import { readFileSync } from "node:fs";

export function packageVersion(): string {
  let directory = new URL(".", import.meta.url);
  for (;;) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL("package.json", directory), "utf8"));
      if (name === "sluice" && typeof version === "string") return version;
    } catch {
      // Not here: the package's root is further up.
    }
    const parent = new URL("..", directory);
    if (parent.href === directory.href) throw new Error("This file is in no package named sluice.");
    directory = parent;
  }
}
