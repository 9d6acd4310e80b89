/** A real browser for tests: the system's Chromium with a fresh profile, or a plain reason why there is none. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const candidates = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export const chromiumPath = candidates.find((path) => existsSync(path));

/** What a skipped test says. */
export const noBrowser = `no Chromium at [${candidates.join(", ")}]; install the package chromium`;

export function launchBrowser(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error(`There is ${noBrowser}.`);
  return chromium.launch({
    executablePath: chromiumPath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
