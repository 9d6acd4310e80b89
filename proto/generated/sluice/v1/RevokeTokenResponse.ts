// Original file: proto/sluice/v1/admin.proto

import type { Token as _sluice_v1_Token, Token__Output as _sluice_v1_Token__Output } from '../../sluice/v1/Token.ts';

export interface RevokeTokenResponse {
  /**
   * The token that is worthless now.
   */
  'info'?: (_sluice_v1_Token | null);
  /**
   * The leases that end with it.
   */
  'leaseIds'?: (string)[];
}

export interface RevokeTokenResponse__Output {
  /**
   * The token that is worthless now.
   */
  'info': (_sluice_v1_Token__Output | null);
  /**
   * The leases that end with it.
   */
  'leaseIds': (string)[];
}
