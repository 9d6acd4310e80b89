// Original file: proto/sluice/v1/admin.proto

import type { TenantUsage as _sluice_v1_TenantUsage, TenantUsage__Output as _sluice_v1_TenantUsage__Output } from '../../sluice/v1/TenantUsage.ts';
import type { Long } from '@grpc/proto-loader';

export interface ListUsageResponse {
  /**
   * The largest user first.
   */
  'tenants'?: (_sluice_v1_TenantUsage)[];
  /**
   * The span that was looked at.
   */
  'fromAtMs'?: (number | string | Long);
  /**
   * The span that was looked at.
   */
  'toAtMs'?: (number | string | Long);
}

export interface ListUsageResponse__Output {
  /**
   * The largest user first.
   */
  'tenants': (_sluice_v1_TenantUsage__Output)[];
  /**
   * The span that was looked at.
   */
  'fromAtMs': (number);
  /**
   * The span that was looked at.
   */
  'toAtMs': (number);
}
