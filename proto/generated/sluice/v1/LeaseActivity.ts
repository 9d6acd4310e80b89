// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * What a lease does now: rates over the last seconds, 0 while nothing comes.
 */
export interface LeaseActivity {
  /**
   * Calls executed per second.
   */
  'callsPerSecond'?: (number | string);
  /**
   * Calls that were answered per second: round trips.
   */
  'answersPerSecond'?: (number | string);
  /**
   * Bytes received from the client per second.
   */
  'bytesReceivedPerSecond'?: (number | string);
  /**
   * Bytes sent to the client per second.
   */
  'bytesSentPerSecond'?: (number | string);
  /**
   * Seconds of device time per second, summed over its devices.
   */
  'deviceLoad'?: (number | string);
  /**
   * When calls were last seen, to about a second; 0: never.
   */
  'lastCallAtMs'?: (number | string | Long);
}

/**
 * What a lease does now: rates over the last seconds, 0 while nothing comes.
 */
export interface LeaseActivity__Output {
  /**
   * Calls executed per second.
   */
  'callsPerSecond': (number);
  /**
   * Calls that were answered per second: round trips.
   */
  'answersPerSecond': (number);
  /**
   * Bytes received from the client per second.
   */
  'bytesReceivedPerSecond': (number);
  /**
   * Bytes sent to the client per second.
   */
  'bytesSentPerSecond': (number);
  /**
   * Seconds of device time per second, summed over its devices.
   */
  'deviceLoad': (number);
  /**
   * When calls were last seen, to about a second; 0: never.
   */
  'lastCallAtMs': (number);
}
