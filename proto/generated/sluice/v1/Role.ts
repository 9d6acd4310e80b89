// Original file: proto/sluice/v1/admin.proto

/**
 * What the owner of a token may do.
 */
export const Role = {
  /**
   * Not set; requests with it mean a tenant.
   */
  ROLE_UNSPECIFIED: 'ROLE_UNSPECIFIED',
  /**
   * Allocate, and see to its tenant's own leases.
   */
  ROLE_TENANT: 'ROLE_TENANT',
  /**
   * That, for every tenant, and the calls of this service.
   */
  ROLE_ADMIN: 'ROLE_ADMIN',
  /**
   * Read what an admin reads (the calls List..., Get..., WatchPool and Explain, and the metrics), and nothing else: other calls get READ_ONLY.
   */
  ROLE_MONITOR: 'ROLE_MONITOR',
} as const;

/**
 * What the owner of a token may do.
 */
export type Role =
  /**
   * Not set; requests with it mean a tenant.
   */
  | 'ROLE_UNSPECIFIED'
  | 0
  /**
   * Allocate, and see to its tenant's own leases.
   */
  | 'ROLE_TENANT'
  | 1
  /**
   * That, for every tenant, and the calls of this service.
   */
  | 'ROLE_ADMIN'
  | 2
  /**
   * Read what an admin reads (the calls List..., Get..., WatchPool and Explain, and the metrics), and nothing else: other calls get READ_ONLY.
   */
  | 'ROLE_MONITOR'
  | 3

/**
 * What the owner of a token may do.
 */
export type Role__Output = typeof Role[keyof typeof Role]
