// Original file: proto/sluice/v1/pool.proto

import type { Beat as _sluice_v1_Beat, Beat__Output as _sluice_v1_Beat__Output } from '../../sluice/v1/Beat.ts';
import type { Notice as _sluice_v1_Notice, Notice__Output as _sluice_v1_Notice__Output } from '../../sluice/v1/Notice.ts';

export interface HoldResponse {
  /**
   * Answers every HoldRequest.
   */
  'beat'?: (_sluice_v1_Beat | null);
  /**
   * Sent when there is something to tell.
   */
  'notice'?: (_sluice_v1_Notice | null);
  'event'?: "beat"|"notice";
}

export interface HoldResponse__Output {
  /**
   * Answers every HoldRequest.
   */
  'beat'?: (_sluice_v1_Beat__Output | null);
  /**
   * Sent when there is something to tell.
   */
  'notice'?: (_sluice_v1_Notice__Output | null);
  'event'?: "beat"|"notice";
}
