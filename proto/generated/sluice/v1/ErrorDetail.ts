// Original file: proto/sluice/v1/pool.proto

import type { Reason as _sluice_v1_Reason, Reason__Output as _sluice_v1_Reason__Output } from '../../sluice/v1/Reason.ts';

/**
 * What a failed RPC carries in `sluice-error-bin`.
 */
export interface ErrorDetail {
  /**
   * Code of the table of errors.
   */
  'code'?: (string);
  /**
   * The error as a sentence.
   */
  'message'?: (string);
  /**
   * What to do about it.
   */
  'remedy'?: (string);
  /**
   * Why each device can not serve it now.
   */
  'reasons'?: (_sluice_v1_Reason)[];
}

/**
 * What a failed RPC carries in `sluice-error-bin`.
 */
export interface ErrorDetail__Output {
  /**
   * Code of the table of errors.
   */
  'code': (string);
  /**
   * The error as a sentence.
   */
  'message': (string);
  /**
   * What to do about it.
   */
  'remedy': (string);
  /**
   * Why each device can not serve it now.
   */
  'reasons': (_sluice_v1_Reason__Output)[];
}
