// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';
import type { Long } from '@grpc/proto-loader';

export interface Queued {
  /**
   * Place in the queue, from 1.
   */
  'position'?: (number);
  /**
   * Why it waits: one per device, or one for the request as a whole.
   */
  'reasons'?: (_sluice_v1_Reason)[];
  /**
   * When it is served, if all who hold or are ahead use their whole time and nobody comes before it; 0: not known. Of the first of the
   * queue it is the latest; of the next 31 an estimate. Known only where all leases in the way end in time.
   */
  'startsAtMs'?: (number | string | Long);
  /**
   * Id of the request in the pool: its lease will have it too.
   */
  'id'?: (string);
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
  /**
   * When it is served, if all who hold or are ahead use their whole time and nobody comes before it; 0: not known. Of the first of the
   * queue it is the latest; of the next 31 an estimate. Known only where all leases in the way end in time.
   */
  'startsAtMs': (number);
  /**
   * Id of the request in the pool: its lease will have it too.
   */
  'id': (string);
}
