// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * Why a request would wait, and for what.
 */
export interface ExplainedWait {
  /**
   * Its place in the queue, from 1.
   */
  'position'?: (number);
  /**
   * Why not now: one per device, or one for the request as a whole.
   */
  'reasons'?: (_sluice_v1_Reason)[];
  /**
   * The leases that would have to end first, on the devices that have room soonest. Empty where no end of leases helps.
   */
  'blockingLeaseIds'?: (string)[];
  /**
   * When those have ended at the latest: the start, if nobody else were served before. 0: not known.
   */
  'startsAtMs'?: (number | string | Long);
}

/**
 * Why a request would wait, and for what.
 */
export interface ExplainedWait__Output {
  /**
   * Its place in the queue, from 1.
   */
  'position': (number);
  /**
   * Why not now: one per device, or one for the request as a whole.
   */
  'reasons': (_sluice_v1_Reason__Output)[];
  /**
   * The leases that would have to end first, on the devices that have room soonest. Empty where no end of leases helps.
   */
  'blockingLeaseIds': (string)[];
  /**
   * When those have ended at the latest: the start, if nobody else were served before. 0: not known.
   */
  'startsAtMs': (number);
}
