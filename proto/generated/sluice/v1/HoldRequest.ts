// Original file: proto/sluice/v1/pool.proto


export interface HoldRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * Needed in the first message of the stream.
   */
  'secret'?: (Buffer | Uint8Array | string);
}

export interface HoldRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * Needed in the first message of the stream.
   */
  'secret': (Buffer);
}
