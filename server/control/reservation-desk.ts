/** Reservations towards the world: made by admins, kept in the store, taken up again after a restart. What fits, the pool decides. */
import { SluiceError, toSluiceError } from "../../shared/errors.ts";
import type { Effect, PoolEvent, Reservation, ReservationListing } from "../pool/types.ts";
import type { Wish } from "./broker-options.ts";

/** Where reservations are kept. */
export interface ReservationStore {
  /** On disk when this returns; what it throws becomes STORE_FAILED. */
  saveReservation(reservation: Reservation): void;
  /** Never throws. */
  dropReservation(id: string): void;
}

export interface ReservationDeskOptions {
  readonly store: ReservationStore;
  /** Lets the pool decide about an event, and carries out what follows. */
  readonly apply: (event: PoolEvent) => void;
  readonly list: () => ReservationListing[];
  readonly newId: () => string;
  readonly withDefaults: (wish: Wish) => Wish;
}

export class ReservationDesk {
  readonly #options: ReservationDeskOptions;
  #refusal: SluiceError | undefined;

  constructor(options: ReservationDeskOptions) {
    this.#options = options;
  }

  list(): ReservationListing[] {
    return this.#options.list();
  }

  /**
   * Holds fixed slices for the tenant of the wish. Throws SluiceError NO_CAPACITY, IMPOSSIBLE_REQUEST, QUOTA_EXCEEDED, BAD_ARGUMENT,
   * STORE_FAILED.
   */
  make(wish: Wish): ReservationListing {
    const { apply, newId, withDefaults } = this.#options;
    const id = newId();
    this.#refusal = undefined;
    apply({ kind: "reserveAsked", request: { ...withDefaults(wish), id } });
    const reservation = this.list().find((one) => one.id === id);
    if (reservation !== undefined) return reservation;
    throw this.#refusal ?? new SluiceError("INTERNAL", "A reservation is neither made nor refused.");
  }

  /** Takes up a reservation of the store, before the leases in it. */
  restore(reservation: Reservation): void {
    this.#options.apply({ kind: "reservationAdopted", reservation });
  }

  /** Throws SluiceError RESERVATION_NOT_FOUND, and STORE_FAILED when it could come back after a restart. */
  giveUp(id: string): void {
    if (!this.list().some((one) => one.id === id)) {
      const name = id.replace(/[^\w-]/g, "?").slice(0, 64);
      throw new SluiceError("RESERVATION_NOT_FOUND", `There is no reservation [${name}].`);
    }
    this.#options.store.dropReservation(id);
    this.#options.apply({ kind: "unreserved", id });
  }

  carryOut(effect: Extract<Effect, { kind: "reserved" | "reserveRefused" | "reservationEnded" }>): void {
    switch (effect.kind) {
      case "reserved":
        this.#keep(effect.reservation);
        return;
      case "reserveRefused":
        this.#refusal = new SluiceError(effect.code, effect.message, { reasons: effect.reasons });
        return;
      case "reservationEnded":
        this.#options.store.dropReservation(effect.id);
    }
  }

  #keep(reservation: Reservation): void {
    const { store, apply } = this.#options;
    try {
      store.saveReservation(reservation);
    } catch (error) {
      const message = `The server cannot store the reservation [${toSluiceError(error).message}].`;
      this.#refusal = new SluiceError("STORE_FAILED", message);
      apply({ kind: "unreserved", id: reservation.id });
    }
  }
}
