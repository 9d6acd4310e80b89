// Original file: proto/sluice/v1/pool.proto

import type { LeaseMoment as _sluice_v1_LeaseMoment, LeaseMoment__Output as _sluice_v1_LeaseMoment__Output } from '../../sluice/v1/LeaseMoment.ts';

export interface GetLeaseHistoryResponse {
  /**
   * The oldest first, about five seconds apart. Times in which the lease did nothing are missing.
   */
  'moments'?: (_sluice_v1_LeaseMoment)[];
}

export interface GetLeaseHistoryResponse__Output {
  /**
   * The oldest first, about five seconds apart. Times in which the lease did nothing are missing.
   */
  'moments': (_sluice_v1_LeaseMoment__Output)[];
}
