// Original file: proto/sluice/v1/admin.proto


export interface SetPriorityRequest {
  /**
   * Id of the request in the pool, as in `QueueEntry`.
   */
  'id'?: (string);
  /**
   * From -100 to 100. No effect beside a `priority_class`.
   */
  'priority'?: (number);
  /**
   * As in `AllocateRequest`.
   */
  'priorityClass'?: (string);
}

export interface SetPriorityRequest__Output {
  /**
   * Id of the request in the pool, as in `QueueEntry`.
   */
  'id': (string);
  /**
   * From -100 to 100. No effect beside a `priority_class`.
   */
  'priority': (number);
  /**
   * As in `AllocateRequest`.
   */
  'priorityClass': (string);
}
