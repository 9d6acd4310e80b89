// Original file: proto/sluice/v1/pool.proto

import type { Beat as _sluice_v1_Beat, Beat__Output as _sluice_v1_Beat__Output } from '../../sluice/v1/Beat.ts';
import type { Notice as _sluice_v1_Notice, Notice__Output as _sluice_v1_Notice__Output } from '../../sluice/v1/Notice.ts';
import type { Resized as _sluice_v1_Resized, Resized__Output as _sluice_v1_Resized__Output } from '../../sluice/v1/Resized.ts';

export interface HoldResponse {
  /**
   * Answers every HoldRequest.
   */
  'beat'?: (_sluice_v1_Beat | null);
  /**
   * Sent when there is something to tell.
   */
  'notice'?: (_sluice_v1_Notice | null);
  /**
   * Sent when a slice has a new size, and at first for each that has had one since the grant.
   */
  'resized'?: (_sluice_v1_Resized | null);
  'event'?: "beat"|"notice"|"resized";
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
  /**
   * Sent when a slice has a new size, and at first for each that has had one since the grant.
   */
  'resized'?: (_sluice_v1_Resized__Output | null);
  'event'?: "beat"|"notice"|"resized";
}
