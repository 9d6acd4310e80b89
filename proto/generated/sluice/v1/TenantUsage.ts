// Original file: proto/sluice/v1/admin.proto

import type { Long } from '@grpc/proto-loader';

/**
 * Use of a tenant in a span. A lease that is partly outside counts with the time inside; its calls count where it began.
 */
export interface TenantUsage {
  /**
   * Its name.
   */
  'tenant'?: (string);
  /**
   * Leases held in the span.
   */
  'leases'?: (number | string | Long);
  /**
   * How long leases were held, summed.
   */
  'heldMs'?: (number | string | Long);
  /**
   * Bytes held, overhead included, times milliseconds.
   */
  'byteMs'?: (number | string);
  /**
   * Calls executed.
   */
  'calls'?: (number | string | Long);
  /**
   * Frames that carried them.
   */
  'batches'?: (number | string | Long);
  /**
   * Calls that were answered.
   */
  'answers'?: (number | string | Long);
  /**
   * Bytes received on the data plane.
   */
  'bytesReceived'?: (number | string | Long);
  /**
   * Bytes sent on the data plane.
   */
  'bytesSent'?: (number | string | Long);
  /**
   * Time that devices were busy.
   */
  'deviceMs'?: (number | string);
}

/**
 * Use of a tenant in a span. A lease that is partly outside counts with the time inside; its calls count where it began.
 */
export interface TenantUsage__Output {
  /**
   * Its name.
   */
  'tenant': (string);
  /**
   * Leases held in the span.
   */
  'leases': (number);
  /**
   * How long leases were held, summed.
   */
  'heldMs': (number);
  /**
   * Bytes held, overhead included, times milliseconds.
   */
  'byteMs': (number);
  /**
   * Calls executed.
   */
  'calls': (number);
  /**
   * Frames that carried them.
   */
  'batches': (number);
  /**
   * Calls that were answered.
   */
  'answers': (number);
  /**
   * Bytes received on the data plane.
   */
  'bytesReceived': (number);
  /**
   * Bytes sent on the data plane.
   */
  'bytesSent': (number);
  /**
   * Time that devices were busy.
   */
  'deviceMs': (number);
}
