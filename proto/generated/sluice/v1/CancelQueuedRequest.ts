// Original file: proto/sluice/v1/admin.proto


export interface CancelQueuedRequest {
  /**
   * Id of the request in the pool, as in `QueueEntry`.
   */
  'id'?: (string);
  /**
   * Why, for whoever waits; at most 128 characters. Default: that an admin cancels it.
   */
  'message'?: (string);
}

export interface CancelQueuedRequest__Output {
  /**
   * Id of the request in the pool, as in `QueueEntry`.
   */
  'id': (string);
  /**
   * Why, for whoever waits; at most 128 characters. Default: that an admin cancels it.
   */
  'message': (string);
}
