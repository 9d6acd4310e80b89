/**
 * Fills a pool with several tenants' leases that do something, and a queue, for tests of the dashboard and for looking at it. As a
 * program: `tsx test/support/populate-pool.ts [DEVICE SPEC] [ADMIN ADDRESS]` starts a server, fills it, prints its addresses and an
 * admin's token, and stays until it is told to stop.
 */
import { credentials } from "@grpc/grpc-js";
import type { AllocateRequest } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { CreateTokenRequest } from "../../proto/generated/sluice/v1/CreateTokenRequest.ts";
import { contract } from "../../proto/load.ts";
import { ARENA, GiB, MiB, RawControl, type RawHold, type RawLease, RawSession, raw, showing } from "./raw-client.ts";
import { startServer } from "./server.ts";

export interface Job {
  readonly lease: RawLease;
  readonly hold: RawHold;
  readonly session: RawSession | undefined;
}

/** Launches and copies in bursts, a few times a second, until the session ends. */
async function work(session: RawSession, callsPerBurst: number): Promise<void> {
  const data = Buffer.alloc(64 * 1024, 7);
  await session.ask(raw.attach(), raw.allocate(ARENA, MiB), raw.deviceSynchronize());
  for (;;) {
    const burst = Array.from({ length: callsPerBurst }, () => raw.fill(ARENA, 256, 4, 1));
    await session.ask(raw.copyToDevice(ARENA, data), ...burst, raw.deviceSynchronize());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A job that holds its lease and, with `callsPerBurst`, works under it. */
export async function startJob(
  server: { readonly control: RawControl; readonly data: string },
  request: AllocateRequest,
  callsPerBurst = 0,
): Promise<Job> {
  const lease = await server.control.allocate(request);
  const hold = server.control.hold(lease);
  if (callsPerBurst === 0) return { lease, hold, session: undefined };
  const session = await RawSession.open(server.data, lease);
  void work(session, callsPerBurst).catch(() => {}); // It ends with its lease.
  return { lease, hold, session };
}

/** Makes a token; the first one of a server must be an admin's. */
export function createToken(grpc: string, request: CreateTokenRequest, adminToken?: string): Promise<string> {
  const interceptors = adminToken === undefined ? [] : [showing(adminToken)];
  const client = new contract.AdminService(grpc, credentials.createInsecure(), { interceptors });
  return new Promise<string>((resolve, reject) => {
    client.CreateToken(request, (error, answer) => (error === null ? resolve(answer!.token) : reject(error)));
  }).finally(() => client.close());
}

type Wanted = AllocateRequest & { readonly tenant: string; readonly callsPerBurst?: number };

const jobs: readonly Wanted[] = [
  { tenant: "vision", name: "resnet-50 finetune", memoryBytes: 9.5 * GiB, callsPerBurst: 40 },
  { tenant: "nlp", name: "llm-eval", memoryBytes: 5 * GiB, durationMaxMs: 5_400_000, callsPerBurst: 220 },
  { tenant: "teaching", name: "notebook", memoryBytes: 1 * GiB },
  { tenant: "<img src=x onerror=alert(1)>", name: "<script>alert(1)</script>", memoryBytes: 3 * GiB, callsPerBurst: 5 },
  { tenant: "vision", name: "diffusion-sweep-17", memoryBytes: 12 * GiB, durationMaxMs: 86_400_000 },
  { tenant: "nlp", name: "tokenizer", memoryBytes: 512 * MiB, callsPerBurst: 90 },
  { tenant: "robotics", name: "whole-card", memoryBytes: 16 * GiB },
  { tenant: "genomics", name: "two-cards", memoryBytes: 6 * GiB, devices: 2 },
];

if (process.argv[1]?.endsWith("populate-pool.ts")) {
  const [devices = "null:6x16GiB", admin = "127.0.0.1:0", copies = "1"] = process.argv.slice(2);
  const server = await startServer({
    args: [
      ...devices.split("+").flatMap((spec) => ["--device", spec]),
      "--spare-executors",
      "0",
      "--grace",
      "0s",
      "--admin",
      admin,
    ],
  });
  const adminToken = await createToken(server.grpc, { tenant: "ops", role: "ROLE_ADMIN", note: "on call" });
  const controls = new Map<string, RawControl>();
  const controlOf = async (tenant: string): Promise<RawControl> => {
    const control =
      controls.get(tenant) ??
      new RawControl(server.grpc, await createToken(server.grpc, { tenant, note: "jobs" }, adminToken));
    controls.set(tenant, control);
    return control;
  };
  for (let copy = 0; copy < Number(copies); copy++) {
    for (const { tenant, callsPerBurst = 0, ...request } of jobs) {
      const control = await controlOf(tenant);
      await startJob({ control, data: server.data }, request, copy > 0 ? 0 : callsPerBurst);
    }
  }
  for (const tenant of ["vision", "teaching", "genomics"]) {
    const wish = { name: `${tenant}-batch`, memoryBytes: 16 * GiB, devices: 16, waitMs: 3_600_000 };
    void (await controlOf(tenant)).allocate({ ...wish, devices: 4 }).catch(() => {}); // It waits to the end.
  }
  process.stdout.write(`${server.admin} ${server.grpc} ${server.data} ${adminToken}\n`);
  process.on("SIGTERM", () => void server.stop().then(() => process.exit(0))); // It never rejects.
}
