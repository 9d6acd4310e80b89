// Original file: proto/sluice/v1/pool.proto


export interface GetLeaseRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * The lease's secret.
   */
  'secret'?: (Buffer | Uint8Array | string);
}

export interface GetLeaseRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * The lease's secret.
   */
  'secret': (Buffer);
}
