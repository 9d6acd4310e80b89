/**
 * The dashboard in a real browser over a live server: what it shows while jobs run, what it does, and what it says when there is nobody
 * to ask. Skipped where there is no Chromium. One page goes from test to test as a user's does, since the start of another costs more than most
 * tests.
 */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import { chromiumPath, launchBrowser, noBrowser } from "../support/browser.ts";
import { createToken, type Job, startJob } from "../support/populate-pool.ts";
import { GiB, RawControl } from "../support/raw-client.ts";
import { startServer as start, type TestServer } from "../support/server.ts";
import { waitFor } from "../support/wait-for.ts";

/** Two for slices of any size, and one that is cut into four. */
const DEVICES = ["--device", "null:2x16GiB", "--device", "null:1x16GiB,profile=4x4GiB"];

let browser: Browser;
/** Where most tests are. */
let page: Page;
/** What the pages' consoles say of code, dialogs, and requests to elsewhere: each fails its test. */
const complaints: string[] = [];
let server: TestServer;
/** An admin's. */
let control: RawControl;
const jobs: Job[] = [];

/** Jobs that are left end with the server at once. */
const startServer = ({ args, ...options }: { args: string[]; state?: string }) =>
  start({ ...options, args: [...args, "--grace", "0s"] });

/** A user's browser, with cookies of its own. */
async function newPage(): Promise<Page> {
  const opened = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  opened.setDefaultTimeout(10_000);
  opened.on("pageerror", (error) => complaints.push(String(error)));
  opened.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss(); // It is the complaint that counts.
  });
  opened.on("console", (message) => {
    // A failed request is the server's answer, not the page's fault.
    if (message.type() === "error" && !message.text().includes("Failed to load")) complaints.push(message.text());
  });
  opened.on("request", (request) => {
    if (!request.url().startsWith(server.admin)) complaints.push(`a request to ${request.url()}`);
  });
  return opened;
}

/** Goes to a page of the server's, such as `queue`. */
const visit = (target: string) => page.goto(`${server.admin}/#/${target}`);

/** A job that ends with its test. */
async function begin(request: AllocateRequest, callsPerBurst = 0): Promise<Job> {
  const job = await startJob({ control, data: server.data }, request, callsPerBurst);
  jobs.push(job);
  return job;
}

/** The server of a block's tests, where `makeToken`, if there is one, makes the first token. */
function serving(args: string[], makeToken: () => Promise<string | undefined> = async () => undefined): void {
  beforeAll(async () => {
    server = await startServer({ args });
    control = new RawControl(server.grpc, await makeToken());
  });
  afterAll(async () => {
    control.close();
    await leave();
    await server.stop();
  });
}

/** A page that is left asks a server that ends for nothing. */
const leave = () => page?.goto("about:blank");

beforeAll(async () => {
  if (chromiumPath === undefined) return;
  browser = await launchBrowser();
  page = await newPage();
});
beforeEach(() => {
  complaints.length = 0;
});
afterEach(async ({ task }) => {
  for (const { lease } of jobs.splice(0)) await control.release(lease.id, lease.secret);
  // What a test that failed has left open is not the next one's.
  if (task.result?.state === "fail") {
    await leave();
    await page.context().clearCookies();
  }
  expect(complaints).toEqual([]);
});
afterAll(async () => {
  await browser?.close();
});

/** The value of an expression in the page. */
const ask = <Value>(page: Page, expression: string): Promise<Value> => page.evaluate(expression) as Promise<Value>;

const widthOf = async (page: Page, job: string): Promise<number> =>
  (await page.locator(`.device .part`, { hasText: job }).first().boundingBox())?.width ?? 0;

describe.skipIf(chromiumPath === undefined)(
  `the dashboard${chromiumPath === undefined ? ` (${noBrowser})` : ""}`,
  () => {
    describe("of a server without tokens", () => {
      serving(DEVICES);

      test("an empty pool says what to do next", async () => {
        await visit("pool");
        await page.getByText("Nothing is lent yet").waitFor();
        expect(await page.locator("pre").innerText()).toContain(`SLUICE_SERVER=${server.grpc}`);
        expect(await page.locator(".device").count()).toBe(3);
        await page.getByRole("link", { name: "Queue" }).click();
        await page.getByText("Nobody waits").waitFor();
        await page.getByRole("link", { name: "Events" }).click();
        await page.getByText("Nothing has been changed yet").waitFor();
      });

      test("bars move as jobs come, work and go; revoking one from the page ends it", async () => {
        await visit("pool");
        await page.getByText("Nothing is lent yet").waitFor();
        const small = await begin({ name: "small", memoryBytes: 4 * GiB }, 20);
        await page.locator(".device .part", { hasText: "small" }).waitFor();
        await begin({ name: "large", memoryBytes: 8 * GiB });
        await page.locator(".device .part", { hasText: "large" }).waitFor();
        await waitFor("bars in proportion", async () => {
          const [one, two] = [await widthOf(page, "small"), await widthOf(page, "large")];
          return Math.abs(two / one - 2) < 0.1;
        });
        expect(await page.locator("[data-device='null:0'] .device-free").innerText()).toContain("4 GiB free of 16 GiB");
        await page.getByRole("link", { name: /^Leases/ }).click();
        const row = page.locator(`[data-row='${small.lease.id}']`);
        await waitFor("calls to be counted", async () =>
          /\d/.test(await row.locator("[data-name='Calls/s']").innerText()),
        );
        expect(await row.locator("[data-name='Last call']").innerText()).toBe("now");
        await row.getByRole("button", { name: "Revoke small" }).click();
        await page.getByLabel("Grace").fill("0");
        await page.getByLabel(/^Reason/).fill("wanted elsewhere");
        await page.getByRole("button", { name: "Revoke", exact: true }).click();
        expect(await small.hold.ended).toBe("LEASE_REVOKED");
        await row.waitFor({ state: "detached" });
        expect(small.hold.messages.some(({ notice }) => notice?.message === "wanted elsewhere")).toBe(true);
        await page.getByRole("link", { name: "Events" }).click();
        await page.locator("td", { hasText: "wanted elsewhere" }).waitFor();
      });

      test("a lease is suspended with a reason, its room is free, and it is resumed", async () => {
        const job = await begin({ name: "steps-aside", memoryBytes: 12 * GiB });
        await visit(`leases/${job.lease.id}`);
        await page.getByRole("button", { name: "Suspend steps-aside" }).click();
        await page.getByLabel(/^Reason/).fill("lunch");
        await page.getByRole("button", { name: "Suspend", exact: true }).click();
        await page.locator(".facts dd", { hasText: "lunch" }).waitFor();
        expect(await page.locator(".facts").innerText()).toContain("when somebody resumes it");
        await page.getByRole("link", { name: /^Pool/ }).click();
        await page.locator("[data-device='null:0'] .device-free", { hasText: "16 GiB free of 16 GiB" }).waitFor();
        await page.getByRole("link", { name: /^Leases/ }).click();
        const row = page.locator(`[data-row='${job.lease.id}']`);
        expect(await row.locator("[data-name='State']").innerText()).toBe("suspended");
        await row.getByRole("button", { name: "Resume steps-aside" }).click();
        await page.getByRole("button", { name: "Resume", exact: true }).click();
        await row.locator("[data-name='State']", { hasText: "idle" }).waitFor();
      });

      test("a request that waits says why, gets another priority, and is cancelled", async () => {
        const job = await begin({ name: "in-the-way", devices: 2, memoryBytes: 12 * GiB });
        const waiting = control.allocate({ name: "waits", memoryBytes: 8 * GiB, waitMs: 600_000 });
        const refused = waiting.catch((error: Error) => error.message);
        await visit("queue");
        await page.getByRole("button", { name: "Why does waits wait?" }).click();
        await page.getByText("Device [null:0] has [4GiB] free, and the request takes [8GiB].").waitFor();
        await page.getByRole("link", { name: job.lease.granted.lease!.name }).waitFor();
        await page.getByRole("button", { name: "Priority of waits" }).click();
        await page.getByLabel("Priority", { exact: true }).fill("high");
        await page.getByRole("button", { name: "Set the priority" }).click();
        await waitFor("the priority", async () => (await page.locator("[data-name=Priority]").innerText()) !== "0");
        await page.getByRole("button", { name: "Cancel waits" }).click();
        await page.getByLabel(/^Reason/).fill("not today");
        await page.getByRole("button", { name: "Cancel the request" }).click();
        expect(await refused).toContain("not today");
        await page.getByText("Nobody waits").waitFor();
      });

      test("devices are cordoned, drained and opened again, and are marked", async () => {
        await visit("pool");
        const device = page.locator("[data-device='null:1']");
        await device.getByRole("button", { name: "null:1" }).click();
        await page.getByRole("button", { name: "Cordon …" }).click();
        await page.getByLabel(/^Reason/).fill("new fan");
        await page.getByRole("button", { name: "Cordon", exact: true }).click();
        await page.getByText("new fan", { exact: true }).first().waitFor();
        await page.getByRole("button", { name: "Close" }).click();
        expect(await device.innerText()).toContain("cordoned");
        await page.getByText("Out of reach").waitFor();
        await device.getByRole("button", { name: "null:1" }).click();
        await page.getByRole("button", { name: "Uncordon" }).click();
        await page.getByRole("button", { name: "Drain …" }).click();
        await page.getByRole("button", { name: "Drain", exact: true }).click();
        await page.getByRole("button", { name: "Close" }).click();
        await waitFor("the mark", async () => /draining|cordoned/.test(await device.innerText()));
        await device.getByRole("button", { name: "null:1" }).click();
        await page.getByRole("button", { name: "Uncordon" }).click();
        await page.getByRole("button", { name: "Close" }).click();
        await waitFor("the mark to be gone", async () => !/draining|cordoned/.test(await device.innerText()));
      });

      test("slices are reserved for a tenant, seen in use, and given up", async () => {
        await visit("tenants");
        await page.getByText("Nothing is reserved: whoever comes first").waitFor();
        await page.getByRole("button", { name: "Reserve …" }).click();
        await page.getByLabel("Tenant", { exact: true }).fill("local");
        await page.getByLabel("Slices", { exact: true }).fill("99");
        await page.getByRole("button", { name: "Reserve", exact: true }).click();
        // What cannot be reserved is said in the dialog, which stays.
        await page.getByRole("alert").locator("p").waitFor();
        await page.getByLabel("Slices", { exact: true }).fill("3");
        await page.getByLabel("For how long").fill("7d");
        await page.getByLabel("Name", { exact: true }).fill("course");
        await page.getByRole("button", { name: "Reserve", exact: true }).click();
        const row = page.locator("tr", { hasText: "course" });
        await row.getByText("0 of 3").waitFor();
        expect(await row.innerText()).toMatch(/3 × 4 GiB of null:2/);
        const { lease } = await begin({ mode: "SHARING_MODE_PROFILE", name: "inside" });
        expect(lease.granted.lease!.reservationId).not.toBe("");
        await row.getByText("1 of 3").waitFor();
        await row.getByRole("button", { name: "Give course up" }).click();
        await page.getByText("1 slice in use stay with their leases").waitFor();
        await page.getByRole("button", { name: "Cancel" }).click();
        expect(await row.count()).toBe(1);
        await row.getByRole("button", { name: "Give course up" }).click();
        await page.getByRole("button", { name: "Give it up" }).click();
        await page.getByText("Nothing is reserved: whoever comes first").waitFor();
      });

      test("everything is reached by the keyboard alone", async () => {
        const job = await begin({ name: "typed-away", memoryBytes: 4 * GiB });
        await visit("pool");
        await page.locator(".device .part", { hasText: "typed-away" }).waitFor();
        const tabTo = async (name: string | RegExp): Promise<void> => {
          for (let count = 0; count < 60; count++) {
            await page.keyboard.press("Tab");
            const label = await ask<string>(
              page,
              "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim()",
            );
            if (typeof name === "string" ? label === name : name.test(label)) return;
          }
          throw new Error(`The keyboard does not lead to [${name}].`);
        };
        await tabTo(/typed-away/);
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "typed-away" }).waitFor();
        await tabTo("Revoke typed-away");
        await page.keyboard.press("Enter");
        await page.getByRole("dialog").waitFor();
        await page.keyboard.press("Escape");
        await page.locator("dialog").waitFor({ state: "detached" });
        // The focus is back where it was.
        await page.keyboard.press("Enter");
        await page.getByRole("dialog").waitFor();
        // The first field has the focus: no grace.
        await page.keyboard.press("Control+A");
        await page.keyboard.type("0");
        await page.keyboard.press("Enter");
        expect(await job.hold.ended).toBe("LEASE_REVOKED");
        await page.locator("dialog").waitFor({ state: "detached" });
        await page.getByRole("link", { name: "Pool", exact: true }).focus();
        await page.keyboard.press("Enter");
        await page.getByRole("heading", { name: "Pool" }).waitFor();
        await page.keyboard.press("/");
        await page.keyboard.type("null:1");
        await waitFor("the filter", async () => (await page.locator(".device").count()) === 1);
        const nameless = await ask<string[]>(
          page,
          `[...document.querySelectorAll("button, a, input, select, summary")]
          .filter((one) => (one.getAttribute("aria-label") ?? one.textContent ?? "").trim() === "" && !one.labels?.length)
          .map((one) => one.outerHTML)`,
        );
        expect(nameless).toEqual([]);
      });

      test("a lease is resized and a tenant bounded; the past is drawn and taken away as a table", async () => {
        const job = await begin({ name: "grows", memoryBytes: 2 * GiB });
        await visit(`leases/${job.lease.id}`);
        await page.getByRole("button", { name: "Resize grows" }).click();
        await page.getByLabel("New size").fill("3GiB");
        await page.getByRole("button", { name: "Resize", exact: true }).click();
        await page.getByText("null:0 3 GiB").waitFor();
        await page.getByRole("link", { name: "Tenants" }).click();
        await page.getByRole("button", { name: "Quota of local" }).click();
        await page.getByLabel("Memory", { exact: true }).fill("4GiB");
        await page.getByRole("button", { name: "Set the quota" }).click();
        await page.getByText("of 4 GiB").waitFor();
        await page.locator("td[data-name^='GiB hours']", { hasText: /[1-9]/ }).waitFor();
        await expect(control.allocate({ memoryBytes: 2 * GiB })).rejects.toMatchObject({
          details: { reasons: expect.arrayContaining([expect.objectContaining({ code: "QUOTA_EXCEEDED" })]) },
        });
        await page.getByRole("link", { name: "History" }).click();
        await page.getByRole("heading", { name: "History", exact: true }).waitFor();
        await page.getByRole("button", { name: "Day" }).click();
        // A second sample makes a line; until then the page says that there is none yet.
        await page.locator(".uplot").first().or(page.getByText("There is no history yet")).waitFor();
        const href = await page.getByRole("link", { name: "CSV" }).getAttribute("href");
        expect(href).toContain("span=day");
        const answer = await fetch(`${server.admin}${href}`);
        expect(answer.headers.get("content-disposition")).toContain("sluice-day.csv");
        expect(await answer.text()).toMatch(/^time,/);
      });

      test("a lost server is said, and its return is noticed", async () => {
        const { admin, grpc, data, state } = server;
        await visit("pool");
        await page.getByText("Nothing is lent yet").waitFor();
        server.kill("SIGKILL");
        await page.getByText("The connection to the server is lost.").waitFor();
        expect(await page.locator("main.is-stale").count()).toBe(1);
        // The title follows once the page is drawn.
        await page.waitForFunction("document.title.includes('(no connection)')");
        const again = ["--listen", grpc, "--data", data, "--admin", admin.slice("http://".length)];
        await using second = await startServer({ state, args: [...DEVICES, ...again] });
        expect(second.admin).toBe(admin);
        await page.locator("main:not(.is-stale)").waitFor();
        await page.getByText("The connection to the server is lost.").waitFor({ state: "detached" });
        await leave();
        // What the browser itself says of connections that fail.
        complaints.splice(0, Infinity, ...complaints.filter((text) => !text.includes("WebSocket")));
      });
    });

    describe("where there are tokens", () => {
      let admin: string;

      serving(DEVICES, async () => {
        admin = await createToken(server.grpc, { tenant: "ops", role: "ROLE_ADMIN" });
        return admin;
      });

      const logIn = async (token: string, on = page): Promise<void> => {
        await on.getByLabel("Token").fill(token);
        await on.keyboard.press("Enter");
      };

      const logOut = async (): Promise<void> => {
        await page.getByRole("button", { name: "Log out" }).click();
        await page.getByRole("heading", { name: "Log in" }).waitFor();
      };

      test("it asks for one, keeps none of it, and ends with it", async () => {
        await visit("pool");
        await page.getByLabel("Token").fill("sluice_000000000000_nonsense");
        await page.getByRole("button", { name: "Log in" }).click();
        await page.getByRole("alert").getByText("does not know the token").waitFor();
        await logIn(admin);
        await page.getByText("Nothing is lent yet").waitFor();
        const seen = await ask<string>(page, "JSON.stringify([document.cookie, { ...localStorage }, location.href])");
        expect(seen).not.toContain(admin.slice(admin.indexOf("_", "sluice_".length) + 1));
        expect(seen.startsWith('["",')).toBe(true);
        // A new token is shown once.
        await page.getByRole("link", { name: "Tenants" }).click();
        await page.getByRole("button", { name: "New token …" }).click();
        await page.getByLabel("Tenant", { exact: true }).fill("vision");
        await page.getByRole("button", { name: "Make the token" }).click();
        const made = (await page.locator("[data-token]").innerText()).trim();
        await page.getByRole("button", { name: "Cancel" }).click();
        const vision = new RawControl(server.grpc, made);
        const lease = await vision.allocate({ name: "with the new token", memoryBytes: GiB });
        vision.close();
        expect(lease.granted.lease!.tenant).toBe("vision");
        // A tenant sees no admin's pages, and nothing that it may not do.
        const other = await newPage();
        await other.goto(server.admin);
        await logIn(made, other);
        await other.getByRole("link", { name: /^Leases/ }).click();
        await other.getByText("with the new token").waitFor();
        expect(await other.getByRole("button", { name: /Revoke/ }).count()).toBe(0);
        expect(await other.getByRole("link", { name: "Tenants" }).count()).toBe(0);
        // Revoked: the page that used it asks anew.
        await page.getByRole("button", { name: `Revoke the token ${made.split("_")[1]}` }).click();
        await page.getByRole("button", { name: "Revoke", exact: true }).click();
        await other.getByRole("heading", { name: "Log in" }).waitFor();
        await other.close();
        await logOut();
      });

      test("a monitor sees what admins see, and nothing to press", async () => {
        const token = await createToken(server.grpc, { tenant: "wall", role: "ROLE_MONITOR" }, admin);
        const watched = await begin({ name: "watched", devices: 2, memoryBytes: 12 * GiB });
        const waiting = new RawControl(server.grpc, admin);
        void waiting.allocate({ name: "waits", memoryBytes: 8 * GiB, waitMs: 600_000 }).catch(() => {}); // To the end.
        await visit("pool");
        await logIn(token);
        await page.getByText("Monitor wall").waitFor();
        for (const [target, words] of [
          ["leases", "watched"],
          [`leases/${watched.lease.id}`, "Device time per second"],
          ["queue", "waits"],
          ["tenants", "good for"],
          ["events", "CreateToken"],
        ] as const) {
          await visit(target);
          await page.locator("main").getByText(words).first().waitFor();
          expect(await page.getByRole("button", { name: /…$/ }).count()).toBe(0);
          expect(
            await page
              .getByRole("button", {
                name: /^(Revoke|Suspend|Resume|Cancel|Reserve|Give |Resize|Extend|Priority of|Quota|Set|New)/,
              })
              .count(),
          ).toBe(0);
        }
        await visit("pool");
        await page.locator("[data-device='null:0']").getByRole("button", { name: "null:0" }).click();
        await page.getByRole("dialog").waitFor();
        expect(await page.getByRole("button", { name: /Cordon|Drain/ }).count()).toBe(0);
        await page.getByRole("button", { name: "Close" }).click();
        waiting.close();
        await logOut();
      });

      test("hostile names are text and nothing else", async () => {
        const token = await createToken(
          server.grpc,
          { tenant: "<img src=x onerror=alert(1)>", role: "ROLE_ADMIN" },
          admin,
        );
        const name = "<script>alert(2)</script>\"'--><b>";
        const job = await begin({ name, memoryBytes: 9 * GiB });
        await visit("pool");
        await logIn(token);
        await page.getByRole("link", { name: /<script>alert\(2\)/ }).waitFor();
        for (const target of ["leases", `leases/${job.lease.id}`, "tenants", "events"]) {
          await visit(target);
          await page
            .getByText(/<(img|script)/)
            .first()
            .waitFor();
        }
        expect(await page.locator("main img, main script, main b b").count()).toBe(0);
      });
    });

    describe("of a server with many devices", () => {
      serving(Array.from({ length: 4 }, () => ["--device", "null:16x1GiB"]).flat());

      test("nothing is cut off from 360 to 2560 pixels, and its colours are the scheme's", async () => {
        await begin({ name: "a-name-that-is-as-long-as-names-may-be".repeat(3), memoryBytes: GiB / 2 }, 40);
        await visit("pool");
        await page.locator(".device").first().waitFor();
        for (const width of [360, 1280, 1600, 1900, 2560]) {
          await page.setViewportSize({ width, height: 800 });
          for (const target of ["pool", "leases", "queue", "history", "tenants", "events"]) {
            await visit(target);
            await page.locator("h1", { hasText: new RegExp(target, "i") }).waitFor();
            const beyond = await ask<number>(
              page,
              `Math.max(...[document.documentElement, ...document.querySelectorAll(".table-frame")]
                .map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth))`,
            );
            expect({ width, target, beyond }).toEqual({ width, target, beyond: 0 });
          }
        }
        const ofBody = (property: string): Promise<string> => ask(page, `getComputedStyle(document.body).${property}`);
        const light = (colour: string): number => Number(/\d+/.exec(colour)?.[0]);
        for (const colorScheme of ["light", "dark"] as const) {
          await page.emulateMedia({ colorScheme });
          const [text, back] = [await ofBody("color"), await ofBody("backgroundColor")];
          expect(light(text) > light(back)).toBe(colorScheme === "dark");
        }
      });
    });
  },
);
