// Original file: proto/sluice/v1/admin.proto

import type { Quota as _sluice_v1_Quota, Quota__Output as _sluice_v1_Quota__Output } from '../../sluice/v1/Quota.ts';

export interface SetQuotaRequest {
  /**
   * The tenant's name, 1 to 128 characters.
   */
  'tenant'?: (string);
  /**
   * What it may have; not set: no bounds.
   */
  'quota'?: (_sluice_v1_Quota | null);
  /**
   * Its weight in the fair share: above 0, at most 1000000. 0: as it is, at first 1.
   */
  'weight'?: (number | string);
}

export interface SetQuotaRequest__Output {
  /**
   * The tenant's name, 1 to 128 characters.
   */
  'tenant': (string);
  /**
   * What it may have; not set: no bounds.
   */
  'quota': (_sluice_v1_Quota__Output | null);
  /**
   * Its weight in the fair share: above 0, at most 1000000. 0: as it is, at first 1.
   */
  'weight': (number);
}
