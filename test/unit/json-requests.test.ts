/** Requests in JSON: what is no message of its type is refused in words, and nothing is made of it. */
import { expect, test } from "vitest";
import { requestFromJson } from "../../proto/load.ts";

const token = (value: unknown) => requestFromJson("/sluice.v1.AdminService/CreateToken", JSON.stringify(value));
const reserve = (value: unknown) => requestFromJson("/sluice.v1.AdminService/Reserve", JSON.stringify(value));

test("what is written as proto3 writes it is read: numbers also as digits, enums also as numbers, null as nothing", () => {
  expect(token({ tenant: "a", role: "ROLE_ADMIN", lifetimeMs: "5", note: null })).toEqual({
    ...{ tenant: "a", role: "ROLE_ADMIN", lifetimeMs: 5, note: "" },
  });
  expect(token({ role: 3 })).toMatchObject({ role: "ROLE_MONITOR" });
  expect(
    reserve({ request: { fraction: 0.5, filters: ["a=b"], sameDeviceAllowed: true, priority: -3 } }),
  ).toMatchObject({
    request: { fraction: 0.5, filters: ["a=b"], sameDeviceAllowed: true, priority: -3 },
  });
  expect(requestFromJson("/sluice.v1.PoolService/ListDevices", "")).toEqual({});
});

test.each([
  [{ role: "ROLE_ADMN" }, "[role] is wrong: it is none of [ROLE_UNSPECIFIED, "],
  [{ role: "2" }, "[role] is wrong"],
  [{ lifetimeMs: -1 }, "[lifetimeMs] is wrong: it is no whole number from 0 to 18446744073709551615"],
  [{ lifetimeMs: 1.5 }, "[lifetimeMs] is wrong"],
  [{ lifetimeMs: 1e300 }, "[lifetimeMs] is wrong"],
  [{ lifetimeMs: "soon" }, "[lifetimeMs] is wrong"],
  [{ lifetimeMs: "99999999999999999999" }, "[lifetimeMs] is wrong"],
  [{ lifetimeMs: [] }, "[lifetimeMs] is wrong"],
  [{ tenant: 5 }, "[tenant] is wrong: it is no string"],
  [{ tenant: { a: 1 } }, "[tenant] is wrong"],
  [{ tennant: "a" }, "it has no field [tennant]"],
  [{ toString: "a" }, "it has no field [toString]"],
  [{ "\u001b[2J": 1 }, "it has no field [\\u001b[2J]"],
  [[], "it is no object"],
  [null, "it is no object"],
])("%j is refused", (value, words) => {
  expect(() => token(value)).toThrow(expect.objectContaining({ code: "BAD_ARGUMENT" }));
  expect(() => token(value)).toThrow(words);
});

test.each([
  [{ devices: -1 }, "[devices] is wrong: it is no whole number from 0 to 4294967295"],
  [{ devices: 2 ** 32 }, "[devices] is wrong"],
  [{ fraction: "half" }, "[fraction] is wrong: it is no number"],
  [{ filters: "a=b" }, "[filters] is wrong: it is no list"],
  [{ filters: ["a", 5] }, "[filters] is wrong: it is no string"],
  [{ sameDeviceAllowed: "false" }, "[sameDeviceAllowed] is wrong: it is no boolean"],
  [{ memoryBytes: 1, fraction: 0.5 }, "it has more than one of [memoryBytes, fraction]"],
])("%j is refused inside a request as well", (request, words) => {
  expect(() => reserve({ request })).toThrow(words);
});

test("what is no JSON at all is refused", () => {
  for (const text of ["{", "nonsense", "[".repeat(60_000)])
    expect(() => requestFromJson("/sluice.v1.AdminService/CreateToken", text)).toThrow("The request is not readable [");
});
