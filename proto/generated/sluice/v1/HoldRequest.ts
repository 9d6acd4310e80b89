// Original file: proto/sluice/v1/pool.proto


export interface HoldRequest {
  'leaseId'?: (string);
  /**
   * Needed in the first message of the stream.
   */
  'secret'?: (Buffer | Uint8Array | string);
}

export interface HoldRequest__Output {
  'leaseId': (string);
  /**
   * Needed in the first message of the stream.
   */
  'secret': (Buffer);
}
