/**
 * Pictures of the dashboard over a populated pool, for people to look at: `tsx test/support/screenshots.ts FOLDER [URL] [TOKEN] [PAGE...]`. Every
 * page in light and dark, narrow, usual and wide.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launchBrowser } from "./browser.ts";

const [folder = ".local/screenshots", url = "http://127.0.0.1:7462", token = "", ...pages] = process.argv.slice(2);
const widths = { narrow: [360, 780], tablet: [768, 1024], usual: [1280, 800], wide: [2560, 1300] } as const;

mkdirSync(folder, { recursive: true });
const browser = await launchBrowser();
for (const colorScheme of ["light", "dark"] as const) {
  for (const [name, [width, height]] of Object.entries(widths)) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    page.on("console", (message) => process.stderr.write(`${message.type()}: ${message.text()}\n`));
    page.on("pageerror", (error) => process.stderr.write(`${String(error)}\n`));
    await page.goto(url);
    await page.waitForSelector("h1");
    if (token !== "") {
      await page.fill("input[name=token]", token);
      await page.keyboard.press("Enter");
      await page.waitForSelector("nav");
    }
    for (const target of pages.length > 0 ? pages : ["pool", "leases", "queue", "history", "tenants", "events"]) {
      await page.goto(`${url}/#/${target}`);
      await page.waitForTimeout(1_200);
      const file = join(folder, `${target.replaceAll("/", "-")}-${colorScheme}-${name}.png`);
      await page.screenshot({ path: file, fullPage: name === "narrow" });
    }
    await page.close();
  }
}
await browser.close();
