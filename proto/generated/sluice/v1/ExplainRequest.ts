// Original file: proto/sluice/v1/pool.proto

import type { AllocateRequest as _sluice_v1_AllocateRequest, AllocateRequest__Output as _sluice_v1_AllocateRequest__Output } from '../../sluice/v1/AllocateRequest.ts';

export interface ExplainRequest {
  /**
   * The request that is not made. `wait_ms` decides whether it may wait; `request_id` is not needed.
   */
  'request'?: (_sluice_v1_AllocateRequest | null);
  /**
   * Instead: the id of a request that waits, as in `QueueEntry`. The answer is why it waits now.
   */
  'queuedId'?: (string);
}

export interface ExplainRequest__Output {
  /**
   * The request that is not made. `wait_ms` decides whether it may wait; `request_id` is not needed.
   */
  'request': (_sluice_v1_AllocateRequest__Output | null);
  /**
   * Instead: the id of a request that waits, as in `QueueEntry`. The answer is why it waits now.
   */
  'queuedId': (string);
}
