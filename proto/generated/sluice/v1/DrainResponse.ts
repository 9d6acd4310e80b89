// Original file: proto/sluice/v1/admin.proto


export interface DrainResponse {
  /**
   * The leases that still have a slice of the device; none in the last message.
   */
  'leaseIds'?: (string)[];
}

export interface DrainResponse__Output {
  /**
   * The leases that still have a slice of the device; none in the last message.
   */
  'leaseIds': (string)[];
}
