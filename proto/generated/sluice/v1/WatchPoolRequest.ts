// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

export interface WatchPoolRequest {
  /**
   * The least time between two messages, from 100 to 60000. Default 250.
   */
  'intervalMs'?: (number | string | Long);
}

export interface WatchPoolRequest__Output {
  /**
   * The least time between two messages, from 100 to 60000. Default 250.
   */
  'intervalMs': (number);
}
