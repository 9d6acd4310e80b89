/**
 * The services that every gRPC tool knows: health (grpc.health.v1), so that load balancers and probes see whether leases are granted,
 * and reflection, so that grpcurl and its kin need no files. Both tell nothing about the pool, and are open to every caller.
 */
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { packageDefinition } from "../../proto/load.ts";

/** The server as a whole, and its services. */
const NAMES = ["", "sluice.v1.PoolService", "sluice.v1.AdminService"] as const;

export class StandardServices {
  readonly #health = new HealthImplementation(Object.fromEntries(NAMES.map((name) => [name, "NOT_SERVING" as const])));

  addTo(server: Server): void {
    this.#health.addToServer(server);
    new ReflectionService(packageDefinition).addToServer(server);
  }

  /** Whether new leases are granted. */
  setServing(isServing: boolean): void {
    for (const name of NAMES) this.#health.setStatus(name, isServing ? "SERVING" : "NOT_SERVING");
  }
}
