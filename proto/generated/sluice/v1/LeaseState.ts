// Original file: proto/sluice/v1/pool.proto

export const LeaseState = {
  /**
   * Not used.
   */
  LEASE_STATE_UNSPECIFIED: 'LEASE_STATE_UNSPECIFIED',
  /**
   * Granted; no session is attached.
   */
  LEASE_STATE_GRANTED: 'LEASE_STATE_GRANTED',
  /**
   * A session is attached.
   */
  LEASE_STATE_ATTACHED: 'LEASE_STATE_ATTACHED',
  /**
   * Ending; its memory is not back in the pool yet.
   */
  LEASE_STATE_ENDING: 'LEASE_STATE_ENDING',
} as const;

export type LeaseState =
  /**
   * Not used.
   */
  | 'LEASE_STATE_UNSPECIFIED'
  | 0
  /**
   * Granted; no session is attached.
   */
  | 'LEASE_STATE_GRANTED'
  | 1
  /**
   * A session is attached.
   */
  | 'LEASE_STATE_ATTACHED'
  | 2
  /**
   * Ending; its memory is not back in the pool yet.
   */
  | 'LEASE_STATE_ENDING'
  | 3

export type LeaseState__Output = typeof LeaseState[keyof typeof LeaseState]
