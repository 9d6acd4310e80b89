// Original file: proto/sluice/v1/admin.proto

import type { Reservation as _sluice_v1_Reservation, Reservation__Output as _sluice_v1_Reservation__Output } from '../../sluice/v1/Reservation.ts';

export interface ListReservationsResponse {
  /**
   * The oldest first.
   */
  'reservations'?: (_sluice_v1_Reservation)[];
}

export interface ListReservationsResponse__Output {
  /**
   * The oldest first.
   */
  'reservations': (_sluice_v1_Reservation__Output)[];
}
