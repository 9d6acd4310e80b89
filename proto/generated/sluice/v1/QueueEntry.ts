// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * A request that waits.
 */
export interface QueueEntry {
  /**
   * The request's id.
   */
  'requestId'?: (string);
  /**
   * Who is charged.
   */
  'tenant'?: (string);
  /**
   * The name given in the request.
   */
  'name'?: (string);
  /**
   * Place in the queue, from 1.
   */
  'position'?: (number);
  /**
   * Number of slices asked for, of all leases together.
   */
  'devices'?: (number);
  /**
   * As in the request; one of the two is set.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * As in the request.
   */
  'fraction'?: (number | string);
  /**
   * When it was made.
   */
  'queuedAtMs'?: (number | string | Long);
  /**
   * When the wait is over.
   */
  'waitEndsAtMs'?: (number | string | Long);
  /**
   * Why each device can not serve it now: of the first 200 of the queue. Explain tells it of any.
   */
  'reasons'?: (_sluice_v1_Reason)[];
  /**
   * That of the request, or what an admin has set, or a higher one after a long wait.
   */
  'priority'?: (number);
  /**
   * As in `Queued`.
   */
  'startsAtMs'?: (number | string | Long);
  /**
   * As in `Queued`.
   */
  'id'?: (string);
  /**
   * The reservation that it waits for, in whose own line its place counts; empty: the queue's.
   */
  'reservationId'?: (string);
  /**
   * As in the request.
   */
  'leases'?: (number);
  /**
   * It is no request but a suspended lease that waits to come back, and this its id. It has no end of its wait.
   */
  'leaseId'?: (string);
  /**
   * As in the request.
   */
  'compute'?: (number | string);
}

/**
 * A request that waits.
 */
export interface QueueEntry__Output {
  /**
   * The request's id.
   */
  'requestId': (string);
  /**
   * Who is charged.
   */
  'tenant': (string);
  /**
   * The name given in the request.
   */
  'name': (string);
  /**
   * Place in the queue, from 1.
   */
  'position': (number);
  /**
   * Number of slices asked for, of all leases together.
   */
  'devices': (number);
  /**
   * As in the request; one of the two is set.
   */
  'memoryBytes': (number);
  /**
   * As in the request.
   */
  'fraction': (number);
  /**
   * When it was made.
   */
  'queuedAtMs': (number);
  /**
   * When the wait is over.
   */
  'waitEndsAtMs': (number);
  /**
   * Why each device can not serve it now: of the first 200 of the queue. Explain tells it of any.
   */
  'reasons': (_sluice_v1_Reason__Output)[];
  /**
   * That of the request, or what an admin has set, or a higher one after a long wait.
   */
  'priority': (number);
  /**
   * As in `Queued`.
   */
  'startsAtMs': (number);
  /**
   * As in `Queued`.
   */
  'id': (string);
  /**
   * The reservation that it waits for, in whose own line its place counts; empty: the queue's.
   */
  'reservationId': (string);
  /**
   * As in the request.
   */
  'leases': (number);
  /**
   * It is no request but a suspended lease that waits to come back, and this its id. It has no end of its wait.
   */
  'leaseId': (string);
  /**
   * As in the request.
   */
  'compute': (number);
}
