// Original file: proto/sluice/v1/pool.proto

import type { HistorySpan as _sluice_v1_HistorySpan, HistorySpan__Output as _sluice_v1_HistorySpan__Output } from '../../sluice/v1/HistorySpan.ts';

export interface GetHistoryRequest {
  /**
   * How far back. Not set: the last hour.
   */
  'span'?: (_sluice_v1_HistorySpan);
  /**
   * Only what is this tenant's; empty: the whole pool, and every tenant that the caller may see.
   */
  'tenant'?: (string);
  /**
   * Whether to tell about every device, too.
   */
  'devices'?: (boolean);
}

export interface GetHistoryRequest__Output {
  /**
   * How far back. Not set: the last hour.
   */
  'span': (_sluice_v1_HistorySpan__Output);
  /**
   * Only what is this tenant's; empty: the whole pool, and every tenant that the caller may see.
   */
  'tenant': (string);
  /**
   * Whether to tell about every device, too.
   */
  'devices': (boolean);
}
