// Original file: proto/sluice/v1/pool.proto

/**
 * Which of the devices with room a request takes.
 */
export const PlacementPolicy = {
  /**
   * Not used by the server.
   */
  PLACEMENT_POLICY_UNSPECIFIED: 'PLACEMENT_POLICY_UNSPECIFIED',
  /**
   * Those that leave the least behind.
   */
  PLACEMENT_POLICY_PACK: 'PLACEMENT_POLICY_PACK',
  /**
   * The emptiest.
   */
  PLACEMENT_POLICY_SPREAD: 'PLACEMENT_POLICY_SPREAD',
  /**
   * Devices joined by NVLink; a grant that has none carries a warning.
   */
  PLACEMENT_POLICY_TOPOLOGY: 'PLACEMENT_POLICY_TOPOLOGY',
} as const;

/**
 * Which of the devices with room a request takes.
 */
export type PlacementPolicy =
  /**
   * Not used by the server.
   */
  | 'PLACEMENT_POLICY_UNSPECIFIED'
  | 0
  /**
   * Those that leave the least behind.
   */
  | 'PLACEMENT_POLICY_PACK'
  | 1
  /**
   * The emptiest.
   */
  | 'PLACEMENT_POLICY_SPREAD'
  | 2
  /**
   * Devices joined by NVLink; a grant that has none carries a warning.
   */
  | 'PLACEMENT_POLICY_TOPOLOGY'
  | 3

/**
 * Which of the devices with room a request takes.
 */
export type PlacementPolicy__Output = typeof PlacementPolicy[keyof typeof PlacementPolicy]
