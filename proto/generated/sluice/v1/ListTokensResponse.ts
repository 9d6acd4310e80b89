// Original file: proto/sluice/v1/admin.proto

import type { Token as _sluice_v1_Token, Token__Output as _sluice_v1_Token__Output } from '../../sluice/v1/Token.ts';

export interface ListTokensResponse {
  /**
   * The oldest first.
   */
  'tokens'?: (_sluice_v1_Token)[];
}

export interface ListTokensResponse__Output {
  /**
   * The oldest first.
   */
  'tokens': (_sluice_v1_Token__Output)[];
}
