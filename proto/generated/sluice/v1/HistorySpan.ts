// Original file: proto/sluice/v1/pool.proto

export const HistorySpan = {
  /**
   * Not used by the server.
   */
  HISTORY_SPAN_UNSPECIFIED: 'HISTORY_SPAN_UNSPECIFIED',
  /**
   * The last hour, every 10 seconds.
   */
  HISTORY_SPAN_HOUR: 'HISTORY_SPAN_HOUR',
  /**
   * The last day, every 3 minutes.
   */
  HISTORY_SPAN_DAY: 'HISTORY_SPAN_DAY',
  /**
   * The last week, every 15 minutes.
   */
  HISTORY_SPAN_WEEK: 'HISTORY_SPAN_WEEK',
} as const;

export type HistorySpan =
  /**
   * Not used by the server.
   */
  | 'HISTORY_SPAN_UNSPECIFIED'
  | 0
  /**
   * The last hour, every 10 seconds.
   */
  | 'HISTORY_SPAN_HOUR'
  | 1
  /**
   * The last day, every 3 minutes.
   */
  | 'HISTORY_SPAN_DAY'
  | 2
  /**
   * The last week, every 15 minutes.
   */
  | 'HISTORY_SPAN_WEEK'
  | 3

export type HistorySpan__Output = typeof HistorySpan[keyof typeof HistorySpan]
