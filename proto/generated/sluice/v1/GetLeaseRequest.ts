// Original file: proto/sluice/v1/pool.proto


export interface GetLeaseRequest {
  'leaseId'?: (string);
  'secret'?: (Buffer | Uint8Array | string);
}

export interface GetLeaseRequest__Output {
  'leaseId': (string);
  'secret': (Buffer);
}
