/** Devices whose kernels can reach the server's memory: when they are lent, and what an admin is told. */
import { describe, expect, it } from "vitest";
import { hostMemoryWarnings } from "../../server/access/host-memory.ts";

const open = { requireToken: false, insecure: false };
const safe = { id: "cuda:0" };
const unsafe = { id: "cuda:1", reachesHostMemory: true };

describe("a device whose kernels can reach the server's memory", () => {
  it("is lent with a warning where everybody is trusted", () => {
    expect(hostMemoryWarnings([safe, unsafe], open)).toEqual([
      expect.stringMatching(/^Kernels on the devices \[cuda:1\] can .*uvm_disable_hmm=1/),
    ]);
    expect(hostMemoryWarnings([safe], { ...open, requireToken: true })).toEqual([]);
  });

  it("is not lent where tokens are asked for, unless the admin accepts that", () => {
    expect(() => hostMemoryWarnings([unsafe], { ...open, requireToken: true })).toThrow(
      expect.objectContaining({ code: "DEVICE_FAILED", message: expect.stringContaining("--insecure") }),
    );
    expect(hostMemoryWarnings([unsafe], { requireToken: true, insecure: true })).toHaveLength(1);
  });
});
