// Original file: proto/sluice/v1/pool.proto

import type { Resized as _sluice_v1_Resized, Resized__Output as _sluice_v1_Resized__Output } from '../../sluice/v1/Resized.ts';

export interface ResizeResponse {
  /**
   * The slice as it is now.
   */
  'resized'?: (_sluice_v1_Resized | null);
}

export interface ResizeResponse__Output {
  /**
   * The slice as it is now.
   */
  'resized': (_sluice_v1_Resized__Output | null);
}
