// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface ListUsageRequest {
  /**
   * Start of the span, included.
   */
  'fromAtMs'?: (number | string | Long);
  /**
   * End of the span, not included. 0: now.
   */
  'toAtMs'?: (number | string | Long);
  /**
   * This tenant alone; empty: all.
   */
  'tenant'?: (string);
}

export interface ListUsageRequest__Output {
  /**
   * Start of the span, included.
   */
  'fromAtMs': (number);
  /**
   * End of the span, not included. 0: now.
   */
  'toAtMs': (number);
  /**
   * This tenant alone; empty: all.
   */
  'tenant': (string);
}
