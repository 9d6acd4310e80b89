// Original file: proto/sluice/v1/pool.proto

import type { Slice as _sluice_v1_Slice, Slice__Output as _sluice_v1_Slice__Output } from '../../sluice/v1/Slice.ts';
import type { LeaseState as _sluice_v1_LeaseState, LeaseState__Output as _sluice_v1_LeaseState__Output } from '../../sluice/v1/LeaseState.ts';
import type { Usage as _sluice_v1_Usage, Usage__Output as _sluice_v1_Usage__Output } from '../../sluice/v1/Usage.ts';
import type { Long } from '@grpc/proto-loader';

export interface Lease {
  'id'?: (string);
  'tenant'?: (string);
  'name'?: (string);
  'slices'?: (_sluice_v1_Slice)[];
  'state'?: (_sluice_v1_LeaseState);
  'grantedAtMs'?: (number | string | Long);
  /**
   * When the lease ends at the latest; 0: no bound.
   */
  'endsAtMs'?: (number | string | Long);
  /**
   * When the last heartbeat came; 0: none needed.
   */
  'heartbeatAtMs'?: (number | string | Long);
  'usage'?: (_sluice_v1_Usage | null);
  /**
   * Whether the lease is kept without heartbeats.
   */
  'detached'?: (boolean);
  /**
   * Address of the attached client; empty when none is.
   */
  'clientAddress'?: (string);
}

export interface Lease__Output {
  'id': (string);
  'tenant': (string);
  'name': (string);
  'slices': (_sluice_v1_Slice__Output)[];
  'state': (_sluice_v1_LeaseState__Output);
  'grantedAtMs': (number);
  /**
   * When the lease ends at the latest; 0: no bound.
   */
  'endsAtMs': (number);
  /**
   * When the last heartbeat came; 0: none needed.
   */
  'heartbeatAtMs': (number);
  'usage': (_sluice_v1_Usage__Output | null);
  /**
   * Whether the lease is kept without heartbeats.
   */
  'detached': (boolean);
  /**
   * Address of the attached client; empty when none is.
   */
  'clientAddress': (string);
}
