// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * A request that waits.
 */
export interface QueueEntry {
  'requestId'?: (string);
  'tenant'?: (string);
  'name'?: (string);
  'position'?: (number);
  'devices'?: (number);
  /**
   * As in the request; one of the two is set.
   */
  'memoryBytes'?: (number | string | Long);
  'fraction'?: (number | string);
  'queuedAtMs'?: (number | string | Long);
  /**
   * When the wait is over.
   */
  'waitEndsAtMs'?: (number | string | Long);
  'reasons'?: (_sluice_v1_Reason)[];
}

/**
 * A request that waits.
 */
export interface QueueEntry__Output {
  'requestId': (string);
  'tenant': (string);
  'name': (string);
  'position': (number);
  'devices': (number);
  /**
   * As in the request; one of the two is set.
   */
  'memoryBytes': (number);
  'fraction': (number);
  'queuedAtMs': (number);
  /**
   * When the wait is over.
   */
  'waitEndsAtMs': (number);
  'reasons': (_sluice_v1_Reason__Output)[];
}
