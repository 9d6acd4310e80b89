// Original file: proto/sluice/v1/pool.proto

import type { Slice as _sluice_v1_Slice, Slice__Output as _sluice_v1_Slice__Output } from '../../sluice/v1/Slice.ts';
import type { LeaseState as _sluice_v1_LeaseState, LeaseState__Output as _sluice_v1_LeaseState__Output } from '../../sluice/v1/LeaseState.ts';
import type { Usage as _sluice_v1_Usage, Usage__Output as _sluice_v1_Usage__Output } from '../../sluice/v1/Usage.ts';
import type { LeaseActivity as _sluice_v1_LeaseActivity, LeaseActivity__Output as _sluice_v1_LeaseActivity__Output } from '../../sluice/v1/LeaseActivity.ts';
import type { Suspension as _sluice_v1_Suspension, Suspension__Output as _sluice_v1_Suspension__Output } from '../../sluice/v1/Suspension.ts';
import type { Long } from '@grpc/proto-loader';

export interface Lease {
  /**
   * Id of the lease.
   */
  'id'?: (string);
  /**
   * Who is charged.
   */
  'tenant'?: (string);
  /**
   * The name given in the request.
   */
  'name'?: (string);
  /**
   * Its slices, in the order of their indices.
   */
  'slices'?: (_sluice_v1_Slice)[];
  /**
   * Where it is in its life.
   */
  'state'?: (_sluice_v1_LeaseState);
  /**
   * When it was granted.
   */
  'grantedAtMs'?: (number | string | Long);
  /**
   * When the lease ends at the latest; 0: no bound.
   */
  'endsAtMs'?: (number | string | Long);
  /**
   * When the last heartbeat came; 0: none needed.
   */
  'heartbeatAtMs'?: (number | string | Long);
  /**
   * What it used so far.
   */
  'usage'?: (_sluice_v1_Usage | null);
  /**
   * Whether the lease is kept without heartbeats.
   */
  'detached'?: (boolean);
  /**
   * Address of the attached client; empty when none is.
   */
  'clientAddress'?: (string);
  /**
   * As in the request.
   */
  'priority'?: (number);
  /**
   * What it does now.
   */
  'activity'?: (_sluice_v1_LeaseActivity | null);
  /**
   * The reservation whose slices it has; empty: none's.
   */
  'reservationId'?: (string);
  /**
   * It ends when it makes no calls for so long; 0: it may be idle.
   */
  'idleTimeoutMs'?: (number | string | Long);
  /**
   * Set from the beginning of a suspension until its memory is back. While it is suspended `slices` are those that it gets back, and its maximum
   * duration stands still.
   */
  'suspension'?: (_sluice_v1_Suspension | null);
}

export interface Lease__Output {
  /**
   * Id of the lease.
   */
  'id': (string);
  /**
   * Who is charged.
   */
  'tenant': (string);
  /**
   * The name given in the request.
   */
  'name': (string);
  /**
   * Its slices, in the order of their indices.
   */
  'slices': (_sluice_v1_Slice__Output)[];
  /**
   * Where it is in its life.
   */
  'state': (_sluice_v1_LeaseState__Output);
  /**
   * When it was granted.
   */
  'grantedAtMs': (number);
  /**
   * When the lease ends at the latest; 0: no bound.
   */
  'endsAtMs': (number);
  /**
   * When the last heartbeat came; 0: none needed.
   */
  'heartbeatAtMs': (number);
  /**
   * What it used so far.
   */
  'usage': (_sluice_v1_Usage__Output | null);
  /**
   * Whether the lease is kept without heartbeats.
   */
  'detached': (boolean);
  /**
   * Address of the attached client; empty when none is.
   */
  'clientAddress': (string);
  /**
   * As in the request.
   */
  'priority': (number);
  /**
   * What it does now.
   */
  'activity': (_sluice_v1_LeaseActivity__Output | null);
  /**
   * The reservation whose slices it has; empty: none's.
   */
  'reservationId': (string);
  /**
   * It ends when it makes no calls for so long; 0: it may be idle.
   */
  'idleTimeoutMs': (number);
  /**
   * Set from the beginning of a suspension until its memory is back. While it is suspended `slices` are those that it gets back, and its maximum
   * duration stands still.
   */
  'suspension': (_sluice_v1_Suspension__Output | null);
}
