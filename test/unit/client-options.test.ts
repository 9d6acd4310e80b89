/** What a program or a command line may say, read and checked before anything is sent. */
import { describe, expect, it } from "vitest";
import { parseHostPort } from "../../client/address.ts";
import { allocateRequest } from "../../client/allocate-options.ts";
import { formatLeaseKeys, parseLeaseKeys } from "../../client/environment.ts";
import { connect } from "../../client/pool.ts";
import type { SluiceError } from "../../shared/errors.ts";

const GiB = 1024 ** 3;

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as SluiceError).code;
  }
  return "none";
}

describe("a request", () => {
  it("reads sizes and durations as people write them, and has the defaults of its documentation", () => {
    expect(
      allocateRequest({ memory: "4GiB", wait: "30s", durationMax: "1h30m", name: "fit", sameDevice: true }),
    ).toMatchObject({
      devices: 1,
      memoryBytes: 4 * GiB,
      waitMs: 30_000,
      durationMaxMs: 5_400_000,
      name: "fit",
      sameDeviceAllowed: true,
      detached: false,
    });
    const plain = allocateRequest({ fraction: 0.25 });
    expect(plain).toMatchObject({
      devices: 1,
      fraction: 0.25,
      waitMs: 0,
      durationMaxMs: 0,
      sameDeviceAllowed: false,
      name: "",
    });
    expect(plain).not.toHaveProperty("memoryBytes");
    expect(plain.requestId).not.toBe(allocateRequest({ fraction: 0.25 }).requestId);
  });

  it.each([
    [{}],
    [{ memory: "1GiB", fraction: 0.5 }],
    [{ memory: 0 }],
    [{ memory: -1 }],
    [{ memory: 1.5 }],
    [{ memory: 2 ** 53 }],
    [{ memory: "lots" }],
    [{ memory: Number.NaN }],
    [{ fraction: 0 }],
    [{ fraction: 1.5 }],
    [{ fraction: -0.1 }],
    [{ fraction: Number.NaN }],
    [{ fraction: "0.5" as unknown as number }],
    [{ fraction: 1, devices: 0 }],
    [{ fraction: 1, devices: 17 }],
    [{ fraction: 1, devices: 1.5 }],
    [{ fraction: 1, wait: -1 }],
    [{ fraction: 1, wait: "soon" }],
    [{ fraction: 1, wait: "31d" }],
    [{ fraction: 1, durationMax: Number.POSITIVE_INFINITY }],
    [{ fraction: 1, name: "x".repeat(129) }],
  ])("like %j is refused before anything is sent", (options) => {
    expect(codeOf(() => allocateRequest(options))).toBe("BAD_ARGUMENT");
  });
});

describe("an address", () => {
  it.each([
    ["localhost", { host: "localhost", port: 7460 }],
    ["gpus.example:1", { host: "gpus.example", port: 1 }],
    [" 10.0.0.1:65535 ", { host: "10.0.0.1", port: 65_535 }],
    ["[::1]", { host: "::1", port: 7460 }],
    ["[fe80::1%eth0]:99", { host: "fe80::1%eth0", port: 99 }],
  ])("%s is read", (text, expected) => {
    expect(parseHostPort(text, 7460)).toEqual(expected);
  });

  it.each(["", ":7460", "host:", "host:0", "host:65536", "host:port", "::1", "http://host:1", "a b", "host:1:2"])(
    "%j is refused",
    (text) => {
      expect(codeOf(() => parseHostPort(text, 7460))).toBe("BAD_ARGUMENT");
    },
  );

  it("without a port is refused where there is no default", () => {
    expect(codeOf(() => parseHostPort("host"))).toBe("BAD_ARGUMENT");
  });
});

describe("the lease in the environment", () => {
  it("reads back as it was written, for any secret and an id with colons", () => {
    for (let byte = 0; byte < 256; byte += 5) {
      const key = { leaseId: "lease:a:b", secret: Buffer.alloc(32, byte) };
      expect(parseLeaseKeys(formatLeaseKeys([key]))).toEqual([key]);
      const other = { leaseId: "lease-2", secret: Buffer.alloc(32, 255 - byte) };
      expect(parseLeaseKeys(` ${formatLeaseKeys([key, other, key])}  `)).toEqual([key, other, key]);
    }
  });

  it.each(["", "x", "lease:", ":abc", `lease:${"A".repeat(43)} x`, `lease:${"A".repeat(10)}`, "lease:not+base64url/"])(
    "like %j is refused without showing it",
    async (text) => {
      expect(codeOf(() => parseLeaseKeys(text))).toBe("BAD_ARGUMENT");
      if (text === "") return;
      const error = await connect({ lease: text }).catch((cause: SluiceError) => cause);
      expect(error).toMatchObject({ code: "BAD_ARGUMENT" });
      expect((error as SluiceError).message).not.toContain(text);
    },
  );
});

describe("connect", () => {
  it("says which server does not answer, and what to do", async () => {
    const error = (await connect({ server: "127.0.0.1:1", lease: "" }).catch(
      (cause: SluiceError) => cause,
    )) as SluiceError;
    expect(error.code).toBe("SERVER_UNREACHABLE");
    expect(error.message).toMatch(/^The server \[127\.0\.0\.1:1\] does not answer \[.*ECONNREFUSED.*\]\.$/);
    expect(error.remedy).toContain("SLUICE_SERVER");
  });

  it("can be called off", async () => {
    await expect(connect({ server: "127.0.0.1:1", lease: "", signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "CANCELLED",
    });
  });
});
