// Original file: proto/sluice/v1/pool.proto

import type { NoticeKind as _sluice_v1_NoticeKind, NoticeKind__Output as _sluice_v1_NoticeKind__Output } from '../../sluice/v1/NoticeKind.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * Something that the holder of a lease should know.
 */
export interface Notice {
  /**
   * What it is about.
   */
  'kind'?: (_sluice_v1_NoticeKind);
  /**
   * The notice as a sentence.
   */
  'message'?: (string);
  /**
   * When what it announces happens; 0: it has happened, or has no time.
   */
  'deadlineAtMs'?: (number | string | Long);
}

/**
 * Something that the holder of a lease should know.
 */
export interface Notice__Output {
  /**
   * What it is about.
   */
  'kind': (_sluice_v1_NoticeKind__Output);
  /**
   * The notice as a sentence.
   */
  'message': (string);
  /**
   * When what it announces happens; 0: it has happened, or has no time.
   */
  'deadlineAtMs': (number);
}
