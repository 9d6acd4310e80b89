// Original file: proto/sluice/v1/pool.proto

import type { Usage as _sluice_v1_Usage, Usage__Output as _sluice_v1_Usage__Output } from '../../sluice/v1/Usage.ts';

export interface ReleaseResponse {
  /**
   * What it used so far.
   */
  'usage'?: (_sluice_v1_Usage | null);
  /**
   * Whether this call ended the lease; false when it had ended before.
   */
  'released'?: (boolean);
}

export interface ReleaseResponse__Output {
  /**
   * What it used so far.
   */
  'usage': (_sluice_v1_Usage__Output | null);
  /**
   * Whether this call ended the lease; false when it had ended before.
   */
  'released': (boolean);
}
