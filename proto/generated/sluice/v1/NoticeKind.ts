// Original file: proto/sluice/v1/pool.proto

export const NoticeKind = {
  /**
   * Not used.
   */
  NOTICE_KIND_UNSPECIFIED: 'NOTICE_KIND_UNSPECIFIED',
  /**
   * The server stops at the deadline and the lease ends with it.
   */
  NOTICE_KIND_SHUTTING_DOWN: 'NOTICE_KIND_SHUTTING_DOWN',
  /**
   * The lease's maximum duration is over at the deadline.
   */
  NOTICE_KIND_TIME_ALMOST_OVER: 'NOTICE_KIND_TIME_ALMOST_OVER',
  /**
   * The lease is taken back at the deadline.
   */
  NOTICE_KIND_REVOKED: 'NOTICE_KIND_REVOKED',
  /**
   * The lease makes no calls and is taken back at the deadline if that stays so.
   */
  NOTICE_KIND_IDLE: 'NOTICE_KIND_IDLE',
  /**
   * The lease is taken back at the deadline, to make room for a request of higher priority.
   */
  NOTICE_KIND_PREEMPTED: 'NOTICE_KIND_PREEMPTED',
  /**
   * A device of the lease fails its health check. The lease lives on, and its results are in doubt; it gets no other device.
   */
  NOTICE_KIND_DEVICE_UNHEALTHY: 'NOTICE_KIND_DEVICE_UNHEALTHY',
  /**
   * An admin has moved the lease's end: it is the deadline now, whatever was said before.
   */
  NOTICE_KIND_EXTENDED: 'NOTICE_KIND_EXTENDED',
  /**
   * The lease is suspended, and why: its calls wait.
   */
  NOTICE_KIND_SUSPENDED: 'NOTICE_KIND_SUSPENDED',
  /**
   * The lease goes on.
   */
  NOTICE_KIND_RESUMED: 'NOTICE_KIND_RESUMED',
} as const;

export type NoticeKind =
  /**
   * Not used.
   */
  | 'NOTICE_KIND_UNSPECIFIED'
  | 0
  /**
   * The server stops at the deadline and the lease ends with it.
   */
  | 'NOTICE_KIND_SHUTTING_DOWN'
  | 1
  /**
   * The lease's maximum duration is over at the deadline.
   */
  | 'NOTICE_KIND_TIME_ALMOST_OVER'
  | 2
  /**
   * The lease is taken back at the deadline.
   */
  | 'NOTICE_KIND_REVOKED'
  | 3
  /**
   * The lease makes no calls and is taken back at the deadline if that stays so.
   */
  | 'NOTICE_KIND_IDLE'
  | 4
  /**
   * The lease is taken back at the deadline, to make room for a request of higher priority.
   */
  | 'NOTICE_KIND_PREEMPTED'
  | 5
  /**
   * A device of the lease fails its health check. The lease lives on, and its results are in doubt; it gets no other device.
   */
  | 'NOTICE_KIND_DEVICE_UNHEALTHY'
  | 6
  /**
   * An admin has moved the lease's end: it is the deadline now, whatever was said before.
   */
  | 'NOTICE_KIND_EXTENDED'
  | 7
  /**
   * The lease is suspended, and why: its calls wait.
   */
  | 'NOTICE_KIND_SUSPENDED'
  | 8
  /**
   * The lease goes on.
   */
  | 'NOTICE_KIND_RESUMED'
  | 9

export type NoticeKind__Output = typeof NoticeKind[keyof typeof NoticeKind]
