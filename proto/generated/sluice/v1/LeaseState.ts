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
  /**
   * Its memory is being saved, and not back in the pool yet.
   */
  LEASE_STATE_SUSPENDING: 'LEASE_STATE_SUSPENDING',
  /**
   * Its memory is saved and back in the pool, but for `overhead_bytes` of its devices.
   */
  LEASE_STATE_SUSPENDED: 'LEASE_STATE_SUSPENDED',
  /**
   * It has its memory again, which is being filled.
   */
  LEASE_STATE_RESUMING: 'LEASE_STATE_RESUMING',
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
  /**
   * Its memory is being saved, and not back in the pool yet.
   */
  | 'LEASE_STATE_SUSPENDING'
  | 4
  /**
   * Its memory is saved and back in the pool, but for `overhead_bytes` of its devices.
   */
  | 'LEASE_STATE_SUSPENDED'
  | 5
  /**
   * It has its memory again, which is being filled.
   */
  | 'LEASE_STATE_RESUMING'
  | 6

export type LeaseState__Output = typeof LeaseState[keyof typeof LeaseState]
