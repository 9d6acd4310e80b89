// Original file: proto/sluice/v1/admin.proto

import type { Reservation as _sluice_v1_Reservation, Reservation__Output as _sluice_v1_Reservation__Output } from '../../sluice/v1/Reservation.ts';

export interface ReserveResponse {
  /**
   * What is reserved.
   */
  'reservation'?: (_sluice_v1_Reservation | null);
}

export interface ReserveResponse__Output {
  /**
   * What is reserved.
   */
  'reservation': (_sluice_v1_Reservation__Output | null);
}
