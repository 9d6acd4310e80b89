// Original file: proto/sluice/v1/pool.proto

/**
 * How a device is shared, and which devices a request is served by.
 */
export const SharingMode = {
  /**
   * Not used by the server.
   */
  SHARING_MODE_UNSPECIFIED: 'SHARING_MODE_UNSPECIFIED',
  /**
   * Slices of any sizes side by side.
   */
  SHARING_MODE_DYNAMIC: 'SHARING_MODE_DYNAMIC',
  /**
   * The whole device for one lease, nothing beside it. A request in this mode also takes empty dynamic devices.
   */
  SHARING_MODE_EXCLUSIVE: 'SHARING_MODE_EXCLUSIVE',
  /**
   * Equal slices of a fixed size; a request gets one per device, if it asks for no more.
   */
  SHARING_MODE_PROFILE: 'SHARING_MODE_PROFILE',
} as const;

/**
 * How a device is shared, and which devices a request is served by.
 */
export type SharingMode =
  /**
   * Not used by the server.
   */
  | 'SHARING_MODE_UNSPECIFIED'
  | 0
  /**
   * Slices of any sizes side by side.
   */
  | 'SHARING_MODE_DYNAMIC'
  | 1
  /**
   * The whole device for one lease, nothing beside it. A request in this mode also takes empty dynamic devices.
   */
  | 'SHARING_MODE_EXCLUSIVE'
  | 2
  /**
   * Equal slices of a fixed size; a request gets one per device, if it asks for no more.
   */
  | 'SHARING_MODE_PROFILE'
  | 3

/**
 * How a device is shared, and which devices a request is served by.
 */
export type SharingMode__Output = typeof SharingMode[keyof typeof SharingMode]
