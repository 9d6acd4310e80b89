// Original file: proto/sluice/v1/admin.proto

import type { Role as _sluice_v1_Role, Role__Output as _sluice_v1_Role__Output } from '../../sluice/v1/Role.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * A token without its secret.
 */
export interface Token {
  /**
   * Names it; the second part of the token. No secret.
   */
  'id'?: (string);
  /**
   * Who is charged.
   */
  'tenant'?: (string);
  /**
   * What it allows.
   */
  'role'?: (_sluice_v1_Role);
  /**
   * What it is for.
   */
  'note'?: (string);
  /**
   * When it was made.
   */
  'createdAtMs'?: (number | string | Long);
  /**
   * Id of the token whose owner made it; empty where that was the server itself, or somebody on its machine.
   */
  'createdBy'?: (string);
  /**
   * When it ends by itself.
   */
  'expiresAtMs'?: (number | string | Long);
  /**
   * When it was revoked. 0: never.
   */
  'revokedAtMs'?: (number | string | Long);
  /**
   * When it was used last, to the minute. 0: never.
   */
  'usedAtMs'?: (number | string | Long);
}

/**
 * A token without its secret.
 */
export interface Token__Output {
  /**
   * Names it; the second part of the token. No secret.
   */
  'id': (string);
  /**
   * Who is charged.
   */
  'tenant': (string);
  /**
   * What it allows.
   */
  'role': (_sluice_v1_Role__Output);
  /**
   * What it is for.
   */
  'note': (string);
  /**
   * When it was made.
   */
  'createdAtMs': (number);
  /**
   * Id of the token whose owner made it; empty where that was the server itself, or somebody on its machine.
   */
  'createdBy': (string);
  /**
   * When it ends by itself.
   */
  'expiresAtMs': (number);
  /**
   * When it was revoked. 0: never.
   */
  'revokedAtMs': (number);
  /**
   * When it was used last, to the minute. 0: never.
   */
  'usedAtMs': (number);
}
