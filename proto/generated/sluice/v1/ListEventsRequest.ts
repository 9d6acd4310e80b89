// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

export interface ListEventsRequest {
  /**
   * Start of the span, included.
   */
  'fromAtMs'?: (number | string | Long);
  /**
   * End of the span, not included. 0: no end.
   */
  'toAtMs'?: (number | string | Long);
  /**
   * Only of this tenant; empty: of all.
   */
  'tenant'?: (string);
  /**
   * Only this action, such as `Cordon`; empty: all.
   */
  'action'?: (string);
  /**
   * Only events with a lower id, for the next page. 0: from the newest.
   */
  'beforeId'?: (number | string | Long);
  /**
   * At most so many, up to 1000. 0: 100.
   */
  'limit'?: (number);
}

export interface ListEventsRequest__Output {
  /**
   * Start of the span, included.
   */
  'fromAtMs': (number);
  /**
   * End of the span, not included. 0: no end.
   */
  'toAtMs': (number);
  /**
   * Only of this tenant; empty: of all.
   */
  'tenant': (string);
  /**
   * Only this action, such as `Cordon`; empty: all.
   */
  'action': (string);
  /**
   * Only events with a lower id, for the next page. 0: from the newest.
   */
  'beforeId': (number);
  /**
   * At most so many, up to 1000. 0: 100.
   */
  'limit': (number);
}
