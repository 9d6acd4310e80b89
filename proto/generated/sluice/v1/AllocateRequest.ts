// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

export interface AllocateRequest {
  /**
   * Number of slices, each on a device of its own unless `same_device_allowed`. Default 1, at most 16.
   */
  'devices'?: (number);
  /**
   * Bytes, 1 or more; rounded up to the device's granularity.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * Part of each device's lendable memory, above 0 and at most 1; rounded down to the device's granularity.
   */
  'fraction'?: (number | string);
  /**
   * How long to wait for capacity. 0: grant now or fail. At most 30 days.
   */
  'waitMs'?: (number | string | Long);
  /**
   * Whether several slices may lie on one device.
   */
  'sameDeviceAllowed'?: (boolean);
  /**
   * A name for people, such as the job's; at most 128 characters.
   */
  'name'?: (string);
  /**
   * The lease ends after this time whatever happens. 0: no bound.
   */
  'durationMaxMs'?: (number | string | Long);
  /**
   * The lease needs no heartbeats. It then must have a `duration_max_ms`.
   */
  'detached'?: (boolean);
  /**
   * Chosen by the client and unique to the request, such as a UUID.
   */
  'requestId'?: (string);
  /**
   * Size of each slice. Exactly one must be set.
   */
  'share'?: "memoryBytes"|"fraction";
}

export interface AllocateRequest__Output {
  /**
   * Number of slices, each on a device of its own unless `same_device_allowed`. Default 1, at most 16.
   */
  'devices': (number);
  /**
   * Bytes, 1 or more; rounded up to the device's granularity.
   */
  'memoryBytes'?: (number);
  /**
   * Part of each device's lendable memory, above 0 and at most 1; rounded down to the device's granularity.
   */
  'fraction'?: (number);
  /**
   * How long to wait for capacity. 0: grant now or fail. At most 30 days.
   */
  'waitMs': (number);
  /**
   * Whether several slices may lie on one device.
   */
  'sameDeviceAllowed': (boolean);
  /**
   * A name for people, such as the job's; at most 128 characters.
   */
  'name': (string);
  /**
   * The lease ends after this time whatever happens. 0: no bound.
   */
  'durationMaxMs': (number);
  /**
   * The lease needs no heartbeats. It then must have a `duration_max_ms`.
   */
  'detached': (boolean);
  /**
   * Chosen by the client and unique to the request, such as a UUID.
   */
  'requestId': (string);
  /**
   * Size of each slice. Exactly one must be set.
   */
  'share'?: "memoryBytes"|"fraction";
}
