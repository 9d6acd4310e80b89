// Original file: proto/sluice/v1/pool.proto

import type { ExplainedGrant as _sluice_v1_ExplainedGrant, ExplainedGrant__Output as _sluice_v1_ExplainedGrant__Output } from '../../sluice/v1/ExplainedGrant.ts';
import type { ExplainedWait as _sluice_v1_ExplainedWait, ExplainedWait__Output as _sluice_v1_ExplainedWait__Output } from '../../sluice/v1/ExplainedWait.ts';
import type { ErrorDetail as _sluice_v1_ErrorDetail, ErrorDetail__Output as _sluice_v1_ErrorDetail__Output } from '../../sluice/v1/ErrorDetail.ts';

export interface ExplainResponse {
  /**
   * It would be granted at once.
   */
  'granted'?: (_sluice_v1_ExplainedGrant | null);
  /**
   * It would wait.
   */
  'queued'?: (_sluice_v1_ExplainedWait | null);
  /**
   * It would be refused with this error.
   */
  'refused'?: (_sluice_v1_ErrorDetail | null);
  'outcome'?: "granted"|"queued"|"refused";
}

export interface ExplainResponse__Output {
  /**
   * It would be granted at once.
   */
  'granted'?: (_sluice_v1_ExplainedGrant__Output | null);
  /**
   * It would wait.
   */
  'queued'?: (_sluice_v1_ExplainedWait__Output | null);
  /**
   * It would be refused with this error.
   */
  'refused'?: (_sluice_v1_ErrorDetail__Output | null);
  'outcome'?: "granted"|"queued"|"refused";
}
