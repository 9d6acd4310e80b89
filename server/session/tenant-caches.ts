/**
 * Where what a tenant's clients send is kept: a folder of its own under the state directory, named by a hash, since a tenant's name may hold
 * anything; or one for all, where the admin says so.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { CacheAssignment } from "../executor/content-cache.ts";

export function tenantCaches(config: {
  readonly stateDirectory: string;
  readonly cache: { readonly bytesMax: number; readonly shared: boolean };
}): (tenant: string) => CacheAssignment | undefined {
  const { bytesMax, shared } = config.cache;
  return (tenant) => {
    if (bytesMax === 0) return undefined;
    const name = shared ? "shared" : createHash("sha256").update(tenant).digest("hex").slice(0, 32);
    return { directory: join(config.stateDirectory, "cache", name), bytesMax };
  };
}
