/** What a pool is like now, for tests that leave it as they found it. */
import type { Pool } from "sluice";
import { waitFor } from "./wait-for.ts";

export const leaseIds = async (pool: Pool): Promise<string[]> => (await pool.leases()).leases.map(({ id }) => id);

/** Whether nothing is lent. */
export const isEmpty = async (pool: Pool): Promise<boolean> =>
  (await pool.devices()).every(({ freeBytes, memoryBytes }) => freeBytes === memoryBytes);

export const untilEmpty = (pool: Pool): Promise<unknown> => waitFor("an empty pool", () => isEmpty(pool));
