// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

export interface Beat {
  /**
   * The server's clock.
   */
  'nowAtMs'?: (number | string | Long);
}

export interface Beat__Output {
  /**
   * The server's clock.
   */
  'nowAtMs': (number);
}
