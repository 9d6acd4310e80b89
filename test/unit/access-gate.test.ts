/** Tokens and the gate: who is let in as whom, what is kept of a token, and what ends with it. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AuditLog } from "../../server/access/audit-log.ts";
import { FIRST_TOKEN_FILE, makeFirstToken } from "../../server/access/first-token.ts";
import type { Identity } from "../../server/access/identity.ts";
import { TOKENS_MAX, TokenGate } from "../../server/access/token-gate.ts";
import { EventStore } from "../../server/store/event-store.ts";
import { Store } from "../../server/store/store.ts";
import { TokenStore } from "../../server/store/token-store.ts";
import type { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const HOUR_MS = 3_600_000;
const REMOTE = "10.0.0.9:5000";

let folder: string;
let store: Store;
let clock: TestClock;
let gate: TokenGate;

const open = (required = false): TokenGate =>
  new TokenGate({ store: new TokenStore(store), clock, randomBytes, required });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-gate-"));
  store = new Store(folder, () => {});
  clock = new TestClock();
  gate = open();
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const create = (role: "tenant" | "admin", tenant: string = role, lifetimeMs = HOUR_MS) =>
  gate.create({ tenant, role, note: "", lifetimeMs }, "");

const reachingADay = (delayMs: number, action: () => void) => clock.schedule(Math.min(delayMs, 24 * HOUR_MS), action);

function refusal(work: () => unknown): SluiceError {
  try {
    work();
  } catch (error) {
    return error as SluiceError;
  }
  throw new Error("Nothing was refused.");
}

describe("a server without tokens", () => {
  it("takes callers over loopback for admins and others for tenants, whatever token they show", () => {
    expect(gate.open).toBe(true);
    expect(gate.identify(undefined, "127.0.0.1:1")).toEqual({ tenant: "local", role: "admin", tokenId: "" });
    expect(gate.identify("anything", "[::1]:1")).toEqual({ tenant: "local", role: "admin", tokenId: "" });
    expect(gate.identify(undefined, REMOTE)).toEqual({ tenant: "local", role: "tenant", tokenId: "" });
  });

  it("asks everybody for one from the first on, loopback included, and tells who was let in without", () => {
    const told: string[] = [];
    const caller = gate.identify(undefined, "127.0.0.1:1");
    gate.follow(caller, ({ code }) => told.push(code));
    const { token } = create("admin");
    expect(told).toEqual(["UNAUTHENTICATED"]);
    expect(refusal(() => gate.identify(undefined, "127.0.0.1:1")).code).toBe("UNAUTHENTICATED");
    expect(gate.identify(token, REMOTE).role).toBe("admin");
  });

  it("makes an admin's token first, or nobody could make the next one", () => {
    expect(refusal(() => create("tenant")).message).toContain("The first token is an admin's");
    create("admin");
    expect(create("tenant").info.role).toBe("tenant");
  });

  it("never opens again: not when all tokens are revoked, nor after a restart", () => {
    const { info } = create("admin");
    gate.revoke(info.id);
    expect(gate.open).toBe(false);
    expect(open().open).toBe(false);
  });
});

describe("a token", () => {
  it("has 32 random bytes, names its id, and makes its tenant the caller from anywhere", () => {
    create("admin");
    const { token, info } = create("tenant", "alice");
    expect(token).toMatch(/^sluice_[0-9a-f]{12}_[A-Za-z0-9_-]{43}$/);
    expect(token).toContain(info.id);
    expect(Buffer.from(token.slice(-43), "base64url")).toHaveLength(32);
    expect(gate.identify(token, REMOTE)).toEqual({ tenant: "alice", role: "tenant", tokenId: info.id });
  });

  it("is kept as its hash alone: no file of the state holds it, and no listing shows the hash", () => {
    const { token, info } = create("admin");
    gate.identify(token, REMOTE);
    store.flush();
    const secret = token.slice(-43);
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, name));
      expect(bytes.includes(secret)).toBe(false);
      expect(bytes.includes(Buffer.from(secret, "base64url"))).toBe(false);
    }
    const [stored] = new TokenStore(store).all();
    expect(Buffer.from(stored!.hash)).toEqual(createHash("sha256").update(token).digest());
    expect(JSON.stringify([gate.list(), info])).not.toContain("hash");
  });

  it("is refused with one character changed, added, missing, or another token's id", () => {
    const { token, info } = create("admin");
    const other = create("tenant");
    const last = token.at(-1) === "A" ? "B" : "A";
    const wrong = [
      token.slice(0, -1) + last,
      `${token}A`,
      token.slice(0, -1),
      token.replace(info.id, other.info.id),
      token.toUpperCase(),
      ` ${token}`,
      `sluice_${info.id}_${"A".repeat(43)}`,
      `sluice_${"0".repeat(12)}_${"A".repeat(43)}`,
      "",
      "x".repeat(100_000),
    ];
    for (const text of wrong) {
      const error = refusal(() => gate.identify(text, REMOTE));
      expect(error.code).toBe("UNAUTHENTICATED");
      expect(error.message).not.toContain(token.slice(-20, -2));
    }
  });

  it("ends at its expiry, to the millisecond, and tells its followers then", () => {
    const { token } = create("admin", "ops", 1_000);
    const caller = gate.identify(token, REMOTE);
    const told: string[] = [];
    gate.follow(caller, ({ message }) => told.push(message));
    clock.advance(999);
    expect(told).toEqual([]);
    expect(gate.identify(token, REMOTE)).toEqual(caller);
    clock.advance(1);
    expect(told).toEqual([expect.stringContaining("has expired")]);
    expect(refusal(() => gate.identify(token, REMOTE)).message).toContain("has expired");
    expect(gate.hasAdmin).toBe(false);
  });

  it("that lives longer than a timer reaches is not ended by the timer", () => {
    const capped = { now: () => clock.now(), schedule: reachingADay };
    gate = new TokenGate({ store: new TokenStore(store), clock: capped, randomBytes, required: false });
    const { token } = create("admin", "ops", 365 * 24 * HOUR_MS);
    const told: string[] = [];
    gate.follow(gate.identify(token, REMOTE), ({ code }) => told.push(code));
    for (let day = 0; day < 364; day++) clock.advance(24 * HOUR_MS);
    expect(told).toEqual([]);
    clock.advance(24 * HOUR_MS);
    expect(told).toEqual(["UNAUTHENTICATED"]);
  });

  it("is worthless the moment it is revoked, also after a restart; its followers hear it, others do not", () => {
    const [mine, other] = [create("admin"), create("tenant")];
    const told: string[] = [];
    const follow = (caller: Identity, name: string) => gate.follow(caller, () => told.push(name));
    follow(gate.identify(mine.token, REMOTE), "mine");
    follow(gate.identify(other.token, REMOTE), "other");
    const leave = follow(gate.identify(mine.token, REMOTE), "left");
    leave();
    gate.revoke(mine.info.id);
    expect(told).toEqual(["mine"]);
    expect(refusal(() => gate.identify(mine.token, REMOTE)).message).toContain(`[${mine.info.id}] is revoked`);
    expect(gate.identify(other.token, REMOTE).tokenId).toBe(other.info.id);
    gate = open();
    expect(refusal(() => gate.identify(mine.token, REMOTE)).message).toContain("is revoked");
    expect(gate.revoke(mine.info.id).revokedAt).toBeGreaterThan(0);
    expect(told).toEqual(["mine"]);
  });

  it("may be named by itself when it is revoked; one that is unknown is refused without being repeated", () => {
    const { token, info } = create("admin");
    expect(gate.revoke(token).id).toBe(info.id);
    expect(refusal(() => gate.revoke("nobody <b>")).message).toContain("[nobody??b?]");
  });

  it("shows when it was used, to the minute", () => {
    const { token } = create("admin");
    expect(gate.list()[0]!.usedAt).toBe(0);
    gate.identify(token, REMOTE);
    const first = gate.list()[0]!.usedAt;
    clock.advance(59_000);
    gate.identify(token, REMOTE);
    expect(gate.list()[0]!.usedAt).toBe(first);
    clock.advance(2_000);
    gate.identify(token, REMOTE);
    expect(open().list()[0]!.usedAt).toBe(first + 61_000);
  });
});

describe("tokens", () => {
  it("are bounded: the oldest that has ended makes room, and none that is good does", () => {
    const first = create("admin", "ops", 24 * HOUR_MS);
    const short = create("tenant", "short", 1);
    for (let index = 2; index < TOKENS_MAX; index++) create("tenant", "many", HOUR_MS);
    expect(gate.list()).toHaveLength(TOKENS_MAX);
    clock.advance(1);
    create("tenant", "one more");
    expect(gate.list().some(({ id }) => id === short.info.id)).toBe(false);
    expect(refusal(() => create("tenant", "too many")).message).toContain(`[${TOKENS_MAX}] tokens`);
    expect(gate.identify(first.token, REMOTE).role).toBe("admin");
  });
});

describe("the first token", () => {
  const make = (terminal?: { write(text: string): unknown }): string[] => {
    const told: string[] = [];
    const audit = new AuditLog({ store: new EventStore(store), clock });
    makeFirstToken({ gate, audit, stateDirectory: folder, terminal, tell: (file) => told.push(file) });
    return told;
  };
  const file = () => join(folder, FIRST_TOKEN_FILE);

  it("is made where the server asks for tokens and no admin has one: in a file for its owner alone, and on the terminal", () => {
    gate = open(true);
    const shown: string[] = [];
    expect(make({ write: (text) => shown.push(text) })).toEqual([file()]);
    const token = readFileSync(file(), "utf8").trim();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(shown.join("")).toContain(token);
    expect(gate.identify(token, REMOTE).role).toBe("admin");
    expect(new EventStore(store).list({ from: 0, to: 1e15, tenant: "", action: "", before: 1e15, limit: 9 })).toEqual([
      expect.objectContaining({ action: "CreateToken", tenant: "", address: "", outcome: "OK" }),
    ]);
  });

  it("that cannot be written is worthless, and made again when it can: nobody is locked out", () => {
    gate = open(true);
    mkdirSync(file());
    expect(refusal(() => make())).toMatchObject({ code: "STORE_FAILED", message: expect.stringContaining(file()) });
    expect(gate.hasAdmin).toBe(false);
    rmSync(file(), { recursive: true });
    expect(make()).toEqual([file()]);
    expect(gate.identify(readFileSync(file(), "utf8").trim(), REMOTE).role).toBe("admin");
  });

  it("is not made on an open server, nor twice, and again when the last admin's token has ended", () => {
    expect(make()).toEqual([]);
    gate = open(true);
    make();
    const first = readFileSync(file(), "utf8").trim();
    expect(make()).toEqual([]);
    gate.revoke(first);
    expect(make()).toEqual([file()]);
    expect(readFileSync(file(), "utf8").trim()).not.toBe(first);
  });
});
