// Original file: proto/sluice/v1/admin.proto


export interface SetPriorityResponse {
  /**
   * Its new place in the queue, from 1; 0 when it was granted at once.
   */
  'position'?: (number);
}

export interface SetPriorityResponse__Output {
  /**
   * Its new place in the queue, from 1; 0 when it was granted at once.
   */
  'position': (number);
}
