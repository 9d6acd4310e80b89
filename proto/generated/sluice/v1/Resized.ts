// Original file: proto/sluice/v1/pool.proto

import type { Slice as _sluice_v1_Slice, Slice__Output as _sluice_v1_Slice__Output } from '../../sluice/v1/Slice.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * A slice with a new size.
 */
export interface Resized {
  /**
   * The slice.
   */
  'slice'?: (_sluice_v1_Slice | null);
  /**
   * Grows with every change of the lease, also over restarts of the server: what a smaller number tells is out of date.
   */
  'revision'?: (number | string | Long);
}

/**
 * A slice with a new size.
 */
export interface Resized__Output {
  /**
   * The slice.
   */
  'slice': (_sluice_v1_Slice__Output | null);
  /**
   * Grows with every change of the lease, also over restarts of the server: what a smaller number tells is out of date.
   */
  'revision': (number);
}
