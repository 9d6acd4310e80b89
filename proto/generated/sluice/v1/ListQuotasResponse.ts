// Original file: proto/sluice/v1/admin.proto

import type { Tenant as _sluice_v1_Tenant, Tenant__Output as _sluice_v1_Tenant__Output } from '../../sluice/v1/Tenant.ts';

export interface ListQuotasResponse {
  /**
   * By name.
   */
  'tenants'?: (_sluice_v1_Tenant)[];
}

export interface ListQuotasResponse__Output {
  /**
   * By name.
   */
  'tenants': (_sluice_v1_Tenant__Output)[];
}
