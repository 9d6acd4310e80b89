// Original file: proto/sluice/v1/admin.proto

import type { Token as _sluice_v1_Token, Token__Output as _sluice_v1_Token__Output } from '../../sluice/v1/Token.ts';

export interface CreateTokenResponse {
  /**
   * The token itself. Nobody can show it again.
   */
  'token'?: (string);
  /**
   * What listings say of it.
   */
  'info'?: (_sluice_v1_Token | null);
  /**
   * Whether the server's ports speak TLS.
   */
  'tls'?: (boolean);
  /**
   * The CA to trust, in PEM; empty where the server's certificate has one that systems know, and without TLS.
   */
  'ca'?: (string);
}

export interface CreateTokenResponse__Output {
  /**
   * The token itself. Nobody can show it again.
   */
  'token': (string);
  /**
   * What listings say of it.
   */
  'info': (_sluice_v1_Token__Output | null);
  /**
   * Whether the server's ports speak TLS.
   */
  'tls': (boolean);
  /**
   * The CA to trust, in PEM; empty where the server's certificate has one that systems know, and without TLS.
   */
  'ca': (string);
}
