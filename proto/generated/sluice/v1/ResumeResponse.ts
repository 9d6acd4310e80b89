// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';

export interface ResumeResponse {
  /**
   * Place in the queue in which it waits for room, from 1; 0 when it need not.
   */
  'position'?: (number);
  /**
   * Why it waits.
   */
  'reasons'?: (_sluice_v1_Reason)[];
}

export interface ResumeResponse__Output {
  /**
   * Place in the queue in which it waits for room, from 1; 0 when it need not.
   */
  'position': (number);
  /**
   * Why it waits.
   */
  'reasons': (_sluice_v1_Reason__Output)[];
}
