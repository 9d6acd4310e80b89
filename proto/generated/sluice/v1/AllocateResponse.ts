// Original file: proto/sluice/v1/pool.proto

import type { Queued as _sluice_v1_Queued, Queued__Output as _sluice_v1_Queued__Output } from '../../sluice/v1/Queued.ts';
import type { Granted as _sluice_v1_Granted, Granted__Output as _sluice_v1_Granted__Output } from '../../sluice/v1/Granted.ts';

export interface AllocateResponse {
  /**
   * Sent at once when the request has to wait, and again when something about it changes.
   */
  'queued'?: (_sluice_v1_Queued | null);
  /**
   * The last message of the stream.
   */
  'granted'?: (_sluice_v1_Granted | null);
  'event'?: "queued"|"granted";
}

export interface AllocateResponse__Output {
  /**
   * Sent at once when the request has to wait, and again when something about it changes.
   */
  'queued'?: (_sluice_v1_Queued__Output | null);
  /**
   * The last message of the stream.
   */
  'granted'?: (_sluice_v1_Granted__Output | null);
  'event'?: "queued"|"granted";
}
