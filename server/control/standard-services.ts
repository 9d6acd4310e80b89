/**
 * The services that every gRPC tool knows: health (grpc.health.v1), so that load balancers and probes see whether leases are granted,
 * and reflection, so that grpcurl and its kin need no files. Both tell nothing about the pool, and are open to every caller.
 */
import type { Server } from "@grpc/grpc-js";
import type { HealthImplementation } from "grpc-health-check";
import { conversion } from "../../proto/load.ts";
import { addLateServices, type LateMethod } from "./late-services.ts";

const healthMethods: readonly LateMethod[] = [
  { path: "/grpc.health.v1.Health/Check" },
  { path: "/grpc.health.v1.Health/List" },
  { path: "/grpc.health.v1.Health/Watch", responseStream: true },
];
const reflectionMethods: readonly LateMethod[] = ["v1", "v1alpha"].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  requestStream: true,
  responseStream: true,
}));

export class StandardServices {
  #statuses = statusesOf({ serves: false, grants: false });
  #health: HealthImplementation | undefined;

  addTo(server: Server): void {
    addLateServices(server, healthMethods, async () => {
      const { HealthImplementation } = await import("grpc-health-check");
      const health = new HealthImplementation(this.#statuses);
      this.#health = health;
      return (added) => health.addToServer(added as Server);
    });
    addLateServices(server, reflectionMethods, async () => {
      const [{ ReflectionService }, { fromJSON }, { descriptor }] = await Promise.all([
        import("@grpc/reflection"),
        import("@grpc/proto-loader"),
        import("../../proto/generated/descriptor.ts"),
      ]);
      const definition = fromJSON(descriptor as unknown as Parameters<typeof fromJSON>[0], conversion);
      return (added) => new ReflectionService(definition).addToServer(added as Server);
    });
  }

  show(state: Serving): void {
    this.#statuses = statusesOf(state);
    for (const [name, status] of Object.entries(this.#statuses)) this.#health?.setStatus(name, status);
  }
}

/** Whether the server is up, and whether new leases are granted. */
interface Serving {
  readonly serves: boolean;
  readonly grants: boolean;
}

/** The server as a whole has no name; whoever asks for that alone must not restart what a full disk holds up. */
function statusesOf({ serves, grants }: Serving) {
  const status = (does: boolean) => (does ? ("SERVING" as const) : ("NOT_SERVING" as const));
  return { "": status(serves), "sluice.v1.PoolService": status(grants), "sluice.v1.AdminService": status(serves) };
}
