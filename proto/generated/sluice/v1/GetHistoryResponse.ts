// Original file: proto/sluice/v1/pool.proto

import type { HistorySeries as _sluice_v1_HistorySeries, HistorySeries__Output as _sluice_v1_HistorySeries__Output } from '../../sluice/v1/HistorySeries.ts';
import type { Long } from '@grpc/proto-loader';

export interface GetHistoryResponse {
  /**
   * Time that each value stands for.
   */
  'stepMs'?: (number | string | Long);
  /**
   * Beginnings of those times, the oldest first. Times in which the server was not running are missing.
   */
  'atMs'?: (number | string | Long)[];
  /**
   * One value for each time.
   */
  'series'?: (_sluice_v1_HistorySeries)[];
}

export interface GetHistoryResponse__Output {
  /**
   * Time that each value stands for.
   */
  'stepMs': (number);
  /**
   * Beginnings of those times, the oldest first. Times in which the server was not running are missing.
   */
  'atMs': (number)[];
  /**
   * One value for each time.
   */
  'series': (_sluice_v1_HistorySeries__Output)[];
}
