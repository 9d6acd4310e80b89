// Original file: proto/sluice/v1/admin.proto

import type { AllocateRequest as _sluice_v1_AllocateRequest, AllocateRequest__Output as _sluice_v1_AllocateRequest__Output } from '../../sluice/v1/AllocateRequest.ts';

export interface ReserveRequest {
  /**
   * Whom it is for, 1 to 128 characters.
   */
  'tenant'?: (string);
  /**
   * What is reserved: as a request in the mode profile, which need not be set. Its `duration_max_ms` is how long the reservation lives,
   * 0: until it is given up. Wait, priority, idle time and `detached` mean nothing.
   */
  'request'?: (_sluice_v1_AllocateRequest | null);
}

export interface ReserveRequest__Output {
  /**
   * Whom it is for, 1 to 128 characters.
   */
  'tenant': (string);
  /**
   * What is reserved: as a request in the mode profile, which need not be set. Its `duration_max_ms` is how long the reservation lives,
   * 0: until it is given up. Wait, priority, idle time and `detached` mean nothing.
   */
  'request': (_sluice_v1_AllocateRequest__Output | null);
}
