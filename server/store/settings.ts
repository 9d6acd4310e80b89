/** What a restart must not forget: cordoned devices and why, and what an admin has decided beside that, reservations, and the tenants' quotas and weights. */
import type { Cordon, Quota, Reservation } from "../pool/types.ts";
import type { Store } from "./store.ts";

/**
 * Every write is on disk when it returns. What takes away or closes never throws: on a full disk it is tried again until it is there. What
 * gives throws SluiceError STORE_FAILED.
 */
export class Settings {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  saveCordon(deviceId: string, { code, message }: Cordon): void {
    const sql = "INSERT OR REPLACE INTO cordons (device_id, code, message) VALUES (?, ?, ?)";
    this.#store.writeSurely(`cordon ${deviceId}`, sql, deviceId, code, message);
  }

  dropCordon(deviceId: string): void {
    this.#store.writeSurely(`cordon ${deviceId}`, "DELETE FROM cordons WHERE device_id = ?", deviceId);
  }

  cordons(): (Cordon & { readonly deviceId: string })[] {
    const sql = "SELECT device_id AS deviceId, code, message FROM cordons";
    return this.#store.query<Cordon & { readonly deviceId: string }>(sql);
  }

  saveTenant(tenant: string, terms: { readonly weight: number; readonly quota: Quota }): void {
    const quota = JSON.stringify(terms.quota);
    this.#store.write(
      "INSERT OR REPLACE INTO tenants (tenant, weight, quota) VALUES (?, ?, ?)",
      tenant,
      terms.weight,
      quota,
    );
  }

  saveReservation(reservation: Reservation): void {
    this.#store.write(
      "INSERT OR REPLACE INTO reservations (id, created_at, reservation) VALUES (?, ?, ?)",
      reservation.id,
      reservation.createdAt,
      JSON.stringify(reservation),
    );
  }

  dropReservation(id: string): void {
    this.#store.writeSurely(`reservation ${id}`, "DELETE FROM reservations WHERE id = ?", id);
  }

  /** The oldest first. */
  reservations(): Reservation[] {
    const sql = "SELECT reservation FROM reservations ORDER BY created_at, id";
    return this.#store.query<{ reservation: string }>(sql).map((row) => JSON.parse(row.reservation) as Reservation);
  }

  tenants(): { readonly tenant: string; readonly weight: number; readonly quota: Quota }[] {
    const rows = this.#store.query<{ tenant: string; weight: number; quota: string }>(
      "SELECT tenant, weight, quota FROM tenants",
    );
    return rows.map(({ tenant, weight, quota }) => ({ tenant, weight, quota: JSON.parse(quota) as Quota }));
  }
}
