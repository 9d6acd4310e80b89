/** The guard of gRPC services and the audit log: no RPC of the contract gets past them, and what they write down. */

import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contract, fromStatus, toStatus } from "../../proto/load.ts";
import { Access } from "../../server/access/access.ts";
import { AuditLog, NOBODY } from "../../server/access/audit-log.ts";
import { actFor, identityOf, isReading } from "../../server/access/guard.ts";
import type { Role } from "../../server/access/identity.ts";
import { EventStore, type StoredEvent } from "../../server/store/event-store.ts";
import { Store } from "../../server/store/store.ts";
import { SluiceError } from "../../shared/errors.ts";
import { TestClock } from "../support/test-clock.ts";

const ADDRESS = "10.0.0.9:5000";
const services = { PoolService: contract.PoolService.service, AdminService: contract.AdminService.service };
type ServiceName = keyof typeof services;

let store: Store;
let clock: TestClock;
let access: Access;
let tokens: Record<Role, string>;
/** Actions that were told to be unwritten. */
let unwritten: string[];

beforeEach(() => {
  store = new Store(":memory:", () => {});
  clock = new TestClock();
  begin(0);
});
afterEach(() => {
  access.close();
  store.close();
});

function begin(requestsPerSecond: number): void {
  unwritten = [];
  access = new Access({
    ...{ store, clock, randomBytes, requireToken: true, requestsPerSecond, tls: undefined },
    onUnwritten: ({ action }) => unwritten.push(action),
  });
  const make = (role: Role) =>
    access.tokens.create({ tenant: `a-${role}`, role, note: "", lifetimeMs: 3_600_000 }, "").token;
  tokens = { admin: make("admin"), tenant: make("tenant"), monitor: make("monitor") };
}

const events = (): StoredEvent[] =>
  access.events.list({ from: 0, to: 1e15, tenant: "", action: "", before: 1e15, limit: 1000 });

interface Outcome {
  /** Whether the handler was reached, and as whom. */
  readonly tenant: string | undefined;
  readonly code: string;
  readonly call: EventEmitter;
}

/** Calls a method with a handler that succeeds, or fails with `failure`. */
async function call(
  name: ServiceName,
  method: string,
  options: {
    token?: string | undefined;
    request?: object;
    failure?: SluiceError;
    address?: string;
    /** Whose is what the handler touches. */
    owner?: string;
  } = {},
): Promise<Outcome> {
  const { token, request = {}, failure, address = ADDRESS, owner } = options;
  const service = services[name];
  let tenant: string | undefined;
  const handlers = Object.fromEntries(
    Object.keys(service).map((key) => [
      key,
      (handled: object, done?: (error: unknown, answer?: object) => void) => {
        tenant = identityOf(handled).tenant;
        try {
          if (owner !== undefined) actFor(handled, owner);
        } catch (error) {
          done?.(toStatus(error as SluiceError));
          return;
        }
        if (failure === undefined) done?.(null, {});
        else done?.(toStatus(failure));
      },
    ]),
  );
  const guarded = access.guard(service, handlers, name === "AdminService" ? "admin" : "tenant");
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  const fake = Object.assign(new EventEmitter(), { request, metadata, getPeer: () => address });
  const code = await new Promise<string>((resolve) => {
    fake.on("error", (error: ServiceError) => resolve(fromStatus(error).code));
    const handler = guarded[method] as (call: object, done: (error: unknown) => void) => void;
    handler(fake, (error) => resolve(error === null ? "OK" : fromStatus(error as ServiceError).code));
    // A stream that begins says nothing.
    setImmediate(() => resolve("OK"));
  });
  return { tenant, code, call: fake };
}

const methods = Object.entries(services).flatMap(([name, service]) =>
  Object.keys(service).map((method) => [name as ServiceName, method] as const),
);

describe("every RPC of the contract", () => {
  it.each(methods)("%s.%s is for nobody without a good token", async (name, method) => {
    for (const token of [undefined, "", "sluice", tokens.admin.slice(0, -1)]) {
      expect(await call(name, method, { token })).toMatchObject({ tenant: undefined, code: "UNAUTHENTICATED" });
    }
  });

  it.each(methods)("%s.%s knows its caller from the token, and an admin's is no tenant's", async (name, method) => {
    const admin = await call(name, method, { token: tokens.admin });
    expect(admin).toMatchObject({ tenant: "a-admin", code: "OK" });
    const tenant = await call(name, method, { token: tokens.tenant, request: { tenant: "a-admin" } });
    if (name === "AdminService") expect(tenant).toMatchObject({ tenant: undefined, code: "ADMIN_ONLY" });
    else expect(tenant).toMatchObject({ tenant: "a-tenant", code: "OK" });
  });

  it.each(methods)("%s.%s lets a monitor read, and nothing else, not even for its own tenant", async (name, method) => {
    const reads = /^(List|Get|Watch|Explain)/.test(method);
    for (const owner of ["a-tenant", "a-monitor"]) {
      const { tenant, code } = await call(name, method, { token: tokens.monitor, owner });
      expect([tenant, code]).toEqual(reads ? ["a-monitor", "OK"] : [undefined, "READ_ONLY"]);
    }
  });

  it.each(methods.filter(([name]) => name === "AdminService"))(
    "%s.%s is in the audit log with who, what, from where and how it ended, unless it only reads",
    async (name, method) => {
      await call(name, method, { token: tokens.admin, request: { deviceId: "null:0", message: "" } });
      if (isReading(method)) expect(events()).toEqual([]);
      else {
        expect(events()).toEqual([
          expect.objectContaining({
            tenant: "a-admin",
            tokenId: tokens.admin.split("_")[1],
            address: ADDRESS,
            action: method,
            details: '{"deviceId":"null:0"}',
            at: clock.now(),
          }),
        ]);
      }
      // A method that changes something must not pass for one that reads.
      expect(isReading(method)).toBe(/^(List|Get)/.test(method));
    },
  );
});

describe("the audit log", () => {
  it("tells how an action ended", async () => {
    await call("AdminService", "Cordon", { token: tokens.admin });
    const failure = new SluiceError("BAD_ARGUMENT", "There is no device [x].");
    expect((await call("AdminService", "Cordon", { token: tokens.admin, failure })).code).toBe("BAD_ARGUMENT");
    expect(events()).toMatchObject([
      { outcome: "BAD_ARGUMENT", message: "There is no device [x]." },
      { outcome: "OK", message: "" },
    ]);
  });

  it("tells how a stream ended, when it ends", async () => {
    const { call: drain } = await call("AdminService", "Drain", { token: tokens.admin });
    expect(events()).toMatchObject([{ action: "Drain", outcome: "" }]);
    drain.emit("finish");
    drain.emit("close");
    expect(events()).toMatchObject([{ action: "Drain", outcome: "OK" }]);
    const failing = await call("AdminService", "Drain", { token: tokens.admin });
    failing.call.emit("error", toStatus(new SluiceError("SHUTTING_DOWN", "The server stops.")));
    failing.call.emit("close");
    expect(events()[0]).toMatchObject({ action: "Drain", outcome: "SHUTTING_DOWN" });
  });

  it("has what an admin does to another tenant's lease, and not what tenants do to their own", async () => {
    const release = (token: string, owner: string) => call("PoolService", "Release", { token, owner });
    expect((await release(tokens.tenant, "a-tenant")).code).toBe("OK");
    expect((await release(tokens.admin, "a-admin")).code).toBe("OK");
    expect((await call("PoolService", "GetLease", { token: tokens.admin, owner: "a-tenant" })).code).toBe("OK");
    expect(events()).toEqual([]);
    expect((await release(tokens.tenant, "a-admin")).code).toBe("OTHER_TENANT");
    expect(events()).toEqual([]);
    expect((await release(tokens.admin, "a-tenant")).code).toBe("OK");
    expect(events()).toMatchObject([{ action: "Release", tenant: "a-admin", outcome: "OK" }]);
  });

  it("refuses an action that gives and that it cannot write down, and nothing of it is done", async () => {
    store.write("DROP TABLE events");
    for (const action of ["Uncordon", "SetQuota", "CreateToken", "Reserve", "Extend", "SetPriority"]) {
      const outcome = await call("AdminService", action, { token: tokens.admin });
      expect(outcome).toMatchObject({ tenant: undefined, code: "STORE_FAILED" });
    }
    expect(unwritten).toEqual([]);
  });

  it("does what takes away or closes also when it cannot be written, says so at once, and writes it down later", async () => {
    store.write("ALTER TABLE events RENAME TO away");
    for (const action of ["Cordon", "Drain", "Revoke", "RevokeToken", "CancelQueued", "Unreserve"]) {
      const { tenant, call: stream } = await call("AdminService", action, { token: tokens.admin });
      expect(tenant).toBe("a-admin");
      stream.emit("finish");
    }
    expect((await call("PoolService", "Release", { token: tokens.admin, owner: "a-tenant" })).code).toBe("OK");
    const done = ["Cordon", "Drain", "Revoke", "RevokeToken", "CancelQueued", "Unreserve", "Release"];
    expect(unwritten).toEqual(done);
    store.write("ALTER TABLE away RENAME TO events");
    expect(events().map(({ action, outcome, tenant }) => [action, outcome, tenant])).toEqual(
      done.reverse().map((action) => [action, "OK", "a-admin"]),
    );
    // What comes then is numbered on.
    expect((await call("AdminService", "Cordon", { token: tokens.admin })).code).toBe("OK");
    expect(events()[0]!.id).toBe(done.length + 1);
  });

  it("keeps within bounds what waits for room, the newest of it", async () => {
    store.write("ALTER TABLE events RENAME TO away");
    for (let count = 0; count < 1_500; count++) await call("AdminService", "Cordon", { token: tokens.admin });
    store.write("ALTER TABLE away RENAME TO events");
    const kept = events().map(({ id }) => id);
    expect(kept).toHaveLength(1_000);
    expect([kept[0], kept.at(-1)]).toEqual([1_500, 501]);
  });

  it("says of an action in which the server died that it was interrupted", () => {
    access.audit.begin({ identity: NOBODY, address: "", action: "Cordon", request: {} });
    store.flush();
    new AuditLog({ store: new EventStore(store), clock });
    expect(events()).toMatchObject([{ action: "Cordon", outcome: "INTERRUPTED" }]);
  });

  it("holds no secret, wherever in a request it stands", () => {
    const request = {
      ...{ secret: "MARK", nested: { secretKey: "MARK", list: [{ token: "MARK" }] }, bytes: Buffer.from("MARK") },
      ...{ tokenId: tokens.admin, note: `pasted ${tokens.tenant} here` },
    };
    access.audit.run({ identity: NOBODY, address: "", action: "RevokeToken", request }, () => {});
    const { details } = events()[0]!;
    expect(details).not.toContain("MARK");
    expect(details).not.toContain(tokens.admin.slice(-43));
    expect(details).not.toContain(tokens.tenant.slice(-43));
    expect(details).toContain(tokens.admin.split("_")[1]);
  });

  it("writes refusals down, but not so often that they fill it", async () => {
    for (let index = 0; index < 50; index++) await call("PoolService", "ListDevices", {});
    for (let index = 0; index < 50; index++) await call("AdminService", "Revoke", { token: tokens.tenant });
    expect(events()).toMatchObject([
      { action: "Revoke", tenant: "a-tenant", outcome: "ADMIN_ONLY" },
      { action: "ListDevices", tenant: "", outcome: "UNAUTHENTICATED", address: ADDRESS },
    ]);
    clock.advance(60_000);
    for (let index = 0; index < 500; index++) {
      await call("PoolService", "ListDevices", { address: `10.0.${index >> 8}.${index & 255}:1` });
    }
    expect(events().length).toBeLessThan(70);
  });

  it("is bounded, and refusals push no actions out", () => {
    const small = new EventStore(store, { events: 100, refusals: 50 });
    const event = { at: 1, tenant: "", tokenId: "", address: "", details: "", message: "" };
    small.add({ ...event, action: "Kept", outcome: "OK" });
    for (let index = 0; index < 1_000; index++) small.add({ ...event, action: "Refused", outcome: "UNAUTHENTICATED" });
    store.flush();
    expect(events().some(({ action }) => action === "Kept")).toBe(true);
    expect(events().length).toBeLessThan(160);
    for (let index = 0; index < 1_000; index++) small.add({ ...event, action: "Done", outcome: "OK" });
    store.flush();
    expect(events().length).toBeLessThanOrEqual(200);
  });

  it("is asked by time, tenant, action and page", () => {
    const add = (at: number, tenant: string, action: string) =>
      access.events.add({ at, tenant, action, tokenId: "", address: "", details: "", outcome: "OK", message: "" });
    const ids = [add(1, "a", "X"), add(2, "b", "Y"), add(3, "a", "Y")];
    const ask = (question: object) =>
      access.events
        .list({ from: 0, to: 100, tenant: "", action: "", before: 1e15, limit: 10, ...question })
        .map(({ id }) => id);
    expect(ask({})).toEqual([ids[2], ids[1], ids[0]]);
    expect(ask({ from: 2, to: 3 })).toEqual([ids[1]]);
    expect(ask({ tenant: "a" })).toEqual([ids[2], ids[0]]);
    expect(ask({ action: "Y", tenant: "a" })).toEqual([ids[2]]);
    expect(ask({ limit: 1 })).toEqual([ids[2]]);
    expect(ask({ before: ids[2], limit: 1 })).toEqual([ids[1]]);
  });
});

describe("a stream", () => {
  const watched = (outcome: Outcome): Promise<string> =>
    new Promise((resolve) => outcome.call.once("error", (error: ServiceError) => resolve(fromStatus(error).message)));

  it.each(["Allocate", "Hold", "WatchPool"])("of %s ends at once when its token is revoked", async (method) => {
    const mine = await call("PoolService", method, { token: tokens.tenant });
    const other = await call("PoolService", method, { token: tokens.admin });
    const reason = watched(mine);
    let otherEnded = false;
    other.call.on("error", () => {
      otherEnded = true;
    });
    access.tokens.revoke(tokens.tenant);
    expect(await reason).toContain("is revoked");
    expect(otherEnded).toBe(false);
  });

  it("that has ended is not ended again", async () => {
    const { call: stream } = await call("PoolService", "Hold", { token: tokens.tenant });
    stream.emit("cancelled");
    let ends = 0;
    stream.on("error", () => ends++);
    access.tokens.revoke(tokens.tenant);
    expect(ends).toBe(0);
  });
});

describe("the rate of requests", () => {
  it("is bounded for each token by itself, with a burst, and comes back with time", async () => {
    access.close();
    begin(10);
    const ask = async (token: string) => (await call("PoolService", "ListDevices", { token })).code;
    for (let index = 0; index < 20; index++) expect(await ask(tokens.tenant)).toBe("OK");
    expect(await ask(tokens.tenant)).toBe("TOO_MANY_REQUESTS");
    expect(await ask(tokens.admin)).toBe("OK");
    clock.advance(100);
    expect(await ask(tokens.tenant)).toBe("OK");
    expect(await ask(tokens.tenant)).toBe("TOO_MANY_REQUESTS");
  });
});
