// Original file: proto/sluice/v1/pool.proto

import type { LeaseActivity as _sluice_v1_LeaseActivity, LeaseActivity__Output as _sluice_v1_LeaseActivity__Output } from '../../sluice/v1/LeaseActivity.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * What a lease did at a moment.
 */
export interface LeaseMoment {
  /**
   * When.
   */
  'atMs'?: (number | string | Long);
  /**
   * What.
   */
  'activity'?: (_sluice_v1_LeaseActivity | null);
}

/**
 * What a lease did at a moment.
 */
export interface LeaseMoment__Output {
  /**
   * When.
   */
  'atMs': (number);
  /**
   * What.
   */
  'activity': (_sluice_v1_LeaseActivity__Output | null);
}
