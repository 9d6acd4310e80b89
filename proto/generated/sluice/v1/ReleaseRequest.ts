// Original file: proto/sluice/v1/pool.proto


export interface ReleaseRequest {
  'leaseId'?: (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret'?: (Buffer | Uint8Array | string);
}

export interface ReleaseRequest__Output {
  'leaseId': (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret': (Buffer);
}
