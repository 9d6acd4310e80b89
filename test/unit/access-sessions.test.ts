/** Browsers' sessions: what a cookie is, who it stands for, and when it ends. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Access } from "../../server/access/access.ts";
import { BROWSER_SESSION_MS, BrowserSessions } from "../../server/access/browser-sessions.ts";
import { Store } from "../../server/store/store.ts";
import { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const ADDRESS = "10.0.0.9:5000";
const DAY_MS = 86_400_000;

let store: Store;
let clock: TestClock;
let access: Access;
let sessions: BrowserSessions;
let token: string;

beforeEach(() => {
  store = new Store(":memory:", () => {});
  clock = new TestClock();
  access = new Access({ store, clock, randomBytes, requireToken: true, requestsPerSecond: 0, tls: undefined });
  sessions = access.sessions;
  token = access.tokens.create({ tenant: "ops", role: "admin", note: "", lifetimeMs: 30 * DAY_MS }, "").token;
});
afterEach(() => {
  access.close();
  store.close();
});

const cookieOf = (setCookie: string): string => setCookie.split(";")[0]!;
const login = (): string => cookieOf(sessions.login(token, ADDRESS).setCookie);
const shown = (cookie: string | undefined, bearer?: string) => ({ cookie, bearer, address: ADDRESS });

function codeOf(work: () => unknown): string {
  try {
    work();
    return "OK";
  } catch (error) {
    return error instanceof SluiceError ? error.code : String(error);
  }
}

it("a login gives a cookie that no script reads, no other site sends, and that has nothing of the token", () => {
  const { setCookie } = sessions.login(token, ADDRESS);
  expect(setCookie).toMatch(/^sluice=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/);
  expect(setCookie).not.toContain(token.slice(-20));
  expect(login()).not.toBe(login());
});

it("over TLS the cookie travels only there, and only to this very server", () => {
  const options = { gate: access.tokens, clock, audit: access.audit, randomBytes, secure: true };
  const secure = new BrowserSessions(options);
  expect(secure.login(token, ADDRESS).setCookie).toMatch(/^__Host-sluice=.*; Path=\/; .*; Secure$/);
  secure.close();
});

it("the cookie stands for the token's owner, beside other cookies, and wins over what else is shown", () => {
  const caller = sessions.identify(shown(`theme=dark; ${login()}; x=y=z`));
  expect(caller).toMatchObject({ tenant: "ops", role: "admin" });
  expect(sessions.identify(shown(undefined, token))).toMatchObject({ tenant: "ops" });
  expect(codeOf(() => sessions.identify(shown(undefined)))).toBe("UNAUTHENTICATED");
  expect(codeOf(() => sessions.identify(shown("sluice=; sluice")))).toBe("UNAUTHENTICATED");
  expect(codeOf(() => sessions.identify(shown(`sluice=${"A".repeat(43)}`)))).toBe("UNAUTHENTICATED");
});

it("a session ends by logout, and who follows it hears that; other sessions of the token go on", () => {
  const [mine, other] = [login(), login()];
  const told: string[] = [];
  sessions.follow(sessions.identify(shown(mine)), ({ message }) => told.push(message));
  sessions.follow(sessions.identify(shown(other)), () => told.push("other"));
  const leave = sessions.follow(sessions.identify(shown(mine)), () => told.push("left"));
  leave();
  expect(sessions.logout(mine)).toMatch(/^sluice=; .*Max-Age=0/);
  expect(told).toEqual(["The session is logged out."]);
  expect(codeOf(() => sessions.identify(shown(mine)))).toBe("UNAUTHENTICATED");
  expect(sessions.identify(shown(other)).tenant).toBe("ops");
  expect(codeOf(() => sessions.logout(undefined))).toBe("OK");
});

it("a session ends after twelve hours, whatever it does", () => {
  const cookie = login();
  const told: string[] = [];
  sessions.follow(sessions.identify(shown(cookie)), ({ code }) => told.push(code));
  clock.advance(BROWSER_SESSION_MS - 1);
  expect(sessions.identify(shown(cookie)).tenant).toBe("ops");
  clock.advance(1);
  expect(told).toEqual(["UNAUTHENTICATED"]);
  expect(codeOf(() => sessions.identify(shown(cookie)))).toBe("UNAUTHENTICATED");
});

it("a session ends at once with its token", () => {
  const cookie = login();
  const told: string[] = [];
  sessions.follow(sessions.identify(shown(cookie)), ({ message }) => told.push(message));
  access.tokens.revoke(token);
  expect(told).toEqual([expect.stringContaining("is revoked")]);
  expect(codeOf(() => sessions.identify(shown(cookie)))).toBe("UNAUTHENTICATED");
});

it("wrong tokens are refused ten times a minute, then not even looked at; other addresses do not suffer", () => {
  for (let index = 0; index < 10; index++) expect(codeOf(() => sessions.login("x", ADDRESS))).toBe("UNAUTHENTICATED");
  expect(codeOf(() => sessions.login("x", ADDRESS))).toBe("TOO_MANY_REQUESTS");
  expect(codeOf(() => sessions.login(token, ADDRESS))).toBe("TOO_MANY_REQUESTS");
  expect(codeOf(() => sessions.login(token, "10.0.0.10:1"))).toBe("OK");
  clock.advance(6_000);
  expect(codeOf(() => sessions.login(token, ADDRESS))).toBe("OK");
});

it("logins of admins and wrong tokens are in the audit log", () => {
  login();
  codeOf(() => sessions.login("x", ADDRESS));
  const events = access.events.list({ from: 0, to: 1e15, tenant: "", action: "Login", before: 1e15, limit: 10 });
  expect(events).toMatchObject([
    { outcome: "UNAUTHENTICATED", tenant: "", address: ADDRESS },
    { outcome: "OK", tenant: "ops", address: ADDRESS },
  ]);
});

it("sessions of one token are bounded: the oldest makes room", () => {
  const first = login();
  const second = login();
  for (let index = 2; index <= 50; index++) login();
  expect(codeOf(() => sessions.identify(shown(first)))).toBe("UNAUTHENTICATED");
  expect(sessions.identify(shown(second)).tenant).toBe("ops");
});
