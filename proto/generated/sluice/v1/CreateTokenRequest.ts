// Original file: proto/sluice/v1/admin.proto

import type { Role as _sluice_v1_Role, Role__Output as _sluice_v1_Role__Output } from '../../sluice/v1/Role.ts';
import type { Long } from '@grpc/proto-loader';

export interface CreateTokenRequest {
  /**
   * Who is charged, 1 to 128 characters.
   */
  'tenant'?: (string);
  /**
   * What it allows.
   */
  'role'?: (_sluice_v1_Role);
  /**
   * How long it is good, at most ten years. 0: one year.
   */
  'lifetimeMs'?: (number | string | Long);
  /**
   * What it is for; at most 128 characters.
   */
  'note'?: (string);
}

export interface CreateTokenRequest__Output {
  /**
   * Who is charged, 1 to 128 characters.
   */
  'tenant': (string);
  /**
   * What it allows.
   */
  'role': (_sluice_v1_Role__Output);
  /**
   * How long it is good, at most ten years. 0: one year.
   */
  'lifetimeMs': (number);
  /**
   * What it is for; at most 128 characters.
   */
  'note': (string);
}
