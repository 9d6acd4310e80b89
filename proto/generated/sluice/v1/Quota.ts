// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * What a tenant may have at most. A field that is not set is no bound.
 */
export interface Quota {
  /**
   * Bytes held at once, overhead included.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * Slices held at once.
   */
  'devices'?: (number);
  /**
   * Leases held at once.
   */
  'leases'?: (number);
  /**
   * Requests waiting at once.
   */
  'requests'?: (number);
  /**
   * The longest lease, 1 or more; also the duration of a lease that asks for none.
   */
  'durationMs'?: (number | string | Long);
  /**
   * The highest priority of a request, -100 to 100.
   */
  'priority'?: (number);
  /**
   * The same by name, as in `AllocateRequest`: instead of `priority`, and only when a quota is set.
   */
  'priorityClass'?: (string);
  '_memoryBytes'?: "memoryBytes";
  '_devices'?: "devices";
  '_leases'?: "leases";
  '_requests'?: "requests";
  '_durationMs'?: "durationMs";
  '_priority'?: "priority";
  '_priorityClass'?: "priorityClass";
}

/**
 * What a tenant may have at most. A field that is not set is no bound.
 */
export interface Quota__Output {
  /**
   * Bytes held at once, overhead included.
   */
  'memoryBytes'?: (number);
  /**
   * Slices held at once.
   */
  'devices'?: (number);
  /**
   * Leases held at once.
   */
  'leases'?: (number);
  /**
   * Requests waiting at once.
   */
  'requests'?: (number);
  /**
   * The longest lease, 1 or more; also the duration of a lease that asks for none.
   */
  'durationMs'?: (number);
  /**
   * The highest priority of a request, -100 to 100.
   */
  'priority'?: (number);
  /**
   * The same by name, as in `AllocateRequest`: instead of `priority`, and only when a quota is set.
   */
  'priorityClass'?: (string);
  '_memoryBytes'?: "memoryBytes";
  '_devices'?: "devices";
  '_leases'?: "leases";
  '_requests'?: "requests";
  '_durationMs'?: "durationMs";
  '_priority'?: "priority";
  '_priorityClass'?: "priorityClass";
}
