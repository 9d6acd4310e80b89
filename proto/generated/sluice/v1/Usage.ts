// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * What a lease used, as measured by the server.
 */
export interface Usage {
  /**
   * Calls executed.
   */
  'calls'?: (number | string | Long);
  /**
   * Frames that carried them.
   */
  'batches'?: (number | string | Long);
  /**
   * Calls that were answered: round trips.
   */
  'answers'?: (number | string | Long);
  /**
   * Bytes received from the client on the data plane, frames included.
   */
  'bytesReceived'?: (number | string | Long);
  /**
   * Bytes sent to the client on the data plane, frames included.
   */
  'bytesSent'?: (number | string | Long);
  /**
   * How long the lease was held.
   */
  'heldMs'?: (number | string | Long);
  /**
   * Time that its calls kept the device busy.
   */
  'deviceMs'?: (number | string | Long);
}

/**
 * What a lease used, as measured by the server.
 */
export interface Usage__Output {
  /**
   * Calls executed.
   */
  'calls': (number);
  /**
   * Frames that carried them.
   */
  'batches': (number);
  /**
   * Calls that were answered: round trips.
   */
  'answers': (number);
  /**
   * Bytes received from the client on the data plane, frames included.
   */
  'bytesReceived': (number);
  /**
   * Bytes sent to the client on the data plane, frames included.
   */
  'bytesSent': (number);
  /**
   * How long the lease was held.
   */
  'heldMs': (number);
  /**
   * Time that its calls kept the device busy.
   */
  'deviceMs': (number);
}
