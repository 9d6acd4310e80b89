// Original file: proto/sluice/v1/pool.proto


export interface SuspendRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret'?: (Buffer | Uint8Array | string);
  /**
   * Why, for its holder; at most 128 characters. Default: who suspends it.
   */
  'message'?: (string);
}

export interface SuspendRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret': (Buffer);
  /**
   * Why, for its holder; at most 128 characters. Default: who suspends it.
   */
  'message': (string);
}
