/**
 * Whether the server grants leases and, if not, why not: what probes ask. Alive it is all the while: a restart would mend none of the
 * reasons.
 */
import type { StandardServices } from "./control/standard-services.ts";

export class Readiness {
  readonly #services: Pick<StandardServices, "show">;
  #phase: "starting" | "serving" | "stopping" = "starting";
  #isStoreWritable = true;

  /** `services` hear of every change. */
  constructor(services: Pick<StandardServices, "show">) {
    this.#services = services;
  }

  /** Why nothing is granted, as a few words; undefined where it is. */
  get whyNot(): string | undefined {
    if (this.#phase !== "serving") return this.#phase;
    return this.#isStoreWritable ? undefined : "nothing is granted: the state cannot be written";
  }

  serving(): void {
    this.#phase = "serving";
    this.#tell();
  }

  stopping(): void {
    this.#phase = "stopping";
    this.#tell();
  }

  /** Whether grants can be stored. */
  storeWritable(isWritable: boolean): void {
    this.#isStoreWritable = isWritable;
    this.#tell();
  }

  #tell(): void {
    const serves = this.#phase === "serving";
    this.#services.show({ serves, grants: serves && this.#isStoreWritable });
  }
}
