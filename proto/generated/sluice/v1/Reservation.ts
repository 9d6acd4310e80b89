// Original file: proto/sluice/v1/admin.proto

import type { ReservedSlice as _sluice_v1_ReservedSlice, ReservedSlice__Output as _sluice_v1_ReservedSlice__Output } from '../../sluice/v1/ReservedSlice.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * Fixed slices that a tenant holds.
 */
export interface Reservation {
  /**
   * Id of the reservation.
   */
  'id'?: (string);
  /**
   * Who is charged.
   */
  'tenant'?: (string);
  /**
   * The name given to it.
   */
  'name'?: (string);
  /**
   * Its slices; those of devices that are not there are missing.
   */
  'slices'?: (_sluice_v1_ReservedSlice)[];
  /**
   * When it was made.
   */
  'createdAtMs'?: (number | string | Long);
  /**
   * When it ends by itself; 0: when it is given up.
   */
  'endsAtMs'?: (number | string | Long);
  /**
   * Requests that wait for it by its id.
   */
  'waiting'?: (number);
}

/**
 * Fixed slices that a tenant holds.
 */
export interface Reservation__Output {
  /**
   * Id of the reservation.
   */
  'id': (string);
  /**
   * Who is charged.
   */
  'tenant': (string);
  /**
   * The name given to it.
   */
  'name': (string);
  /**
   * Its slices; those of devices that are not there are missing.
   */
  'slices': (_sluice_v1_ReservedSlice__Output)[];
  /**
   * When it was made.
   */
  'createdAtMs': (number);
  /**
   * When it ends by itself; 0: when it is given up.
   */
  'endsAtMs': (number);
  /**
   * Requests that wait for it by its id.
   */
  'waiting': (number);
}
