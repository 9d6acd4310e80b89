// Original file: proto/sluice/v1/pool.proto


export interface ResumeRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret'?: (Buffer | Uint8Array | string);
}

export interface ResumeRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret': (Buffer);
}
