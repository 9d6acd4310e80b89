// Original file: proto/sluice/v1/pool.proto

import type { Slice as _sluice_v1_Slice, Slice__Output as _sluice_v1_Slice__Output } from '../../sluice/v1/Slice.ts';

/**
 * Where a request would go.
 */
export interface ExplainedGrant {
  /**
   * The slices it would get; those of several leases one after the other.
   */
  'slices'?: (_sluice_v1_Slice)[];
  /**
   * As in `Granted`.
   */
  'warnings'?: (string)[];
}

/**
 * Where a request would go.
 */
export interface ExplainedGrant__Output {
  /**
   * The slices it would get; those of several leases one after the other.
   */
  'slices': (_sluice_v1_Slice__Output)[];
  /**
   * As in `Granted`.
   */
  'warnings': (string)[];
}
