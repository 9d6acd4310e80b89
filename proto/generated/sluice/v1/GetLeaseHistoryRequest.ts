// Original file: proto/sluice/v1/pool.proto


export interface GetLeaseHistoryRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
}

export interface GetLeaseHistoryRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
}
