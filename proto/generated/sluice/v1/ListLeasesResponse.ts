// Original file: proto/sluice/v1/pool.proto

import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from '../../sluice/v1/Lease.ts';
import type { QueueEntry as _sluice_v1_QueueEntry, QueueEntry__Output as _sluice_v1_QueueEntry__Output } from '../../sluice/v1/QueueEntry.ts';

export interface ListLeasesResponse {
  /**
   * In the order in which they were granted.
   */
  'leases'?: (_sluice_v1_Lease)[];
  /**
   * In the order in which they would be served.
   */
  'queue'?: (_sluice_v1_QueueEntry)[];
}

export interface ListLeasesResponse__Output {
  /**
   * In the order in which they were granted.
   */
  'leases': (_sluice_v1_Lease__Output)[];
  /**
   * In the order in which they would be served.
   */
  'queue': (_sluice_v1_QueueEntry__Output)[];
}
