// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';

export interface Queued {
  /**
   * Place in the queue, from 1.
   */
  'position'?: (number);
  /**
   * Why it waits: one per device, or one for the request as a whole.
   */
  'reasons'?: (_sluice_v1_Reason)[];
}

export interface Queued__Output {
  /**
   * Place in the queue, from 1.
   */
  'position': (number);
  /**
   * Why it waits: one per device, or one for the request as a whole.
   */
  'reasons': (_sluice_v1_Reason__Output)[];
}
