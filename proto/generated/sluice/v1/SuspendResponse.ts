// Original file: proto/sluice/v1/pool.proto

import type { Suspension as _sluice_v1_Suspension, Suspension__Output as _sluice_v1_Suspension__Output } from '../../sluice/v1/Suspension.ts';

export interface SuspendResponse {
  /**
   * As it is now.
   */
  'suspension'?: (_sluice_v1_Suspension | null);
}

export interface SuspendResponse__Output {
  /**
   * As it is now.
   */
  'suspension': (_sluice_v1_Suspension__Output | null);
}
