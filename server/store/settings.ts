/** What an admin has decided and a restart must not forget: cordoned devices, reservations, and the tenants' quotas and weights. */
import type { Quota, Reservation } from "../pool/types.ts";
import type { Store } from "./store.ts";

/** Every write is on disk when it returns, and throws SluiceError STORE_FAILED otherwise. */
export class Settings {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  saveCordon(deviceId: string, message: string): void {
    this.#store.write("INSERT OR REPLACE INTO cordons (device_id, message) VALUES (?, ?)", deviceId, message);
  }

  dropCordon(deviceId: string): void {
    this.#store.write("DELETE FROM cordons WHERE device_id = ?", deviceId);
  }

  cordons(): { readonly deviceId: string; readonly message: string }[] {
    const rows = this.#store.query<{ device_id: string; message: string }>("SELECT device_id, message FROM cordons");
    return rows.map(({ device_id: deviceId, message }) => ({ deviceId, message }));
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
    this.#store.write("DELETE FROM reservations WHERE id = ?", id);
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
