// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

export interface ResizeRequest {
  /**
   * Id of the lease.
   */
  'leaseId'?: (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret'?: (Buffer | Uint8Array | string);
  /**
   * Index of the slice.
   */
  'index'?: (number);
  /**
   * Its new size, 1 or more; rounded up to the device's granularity.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * Said by the client that is attached, whose allocator uses nothing beyond the new size any more. A slice in use by a session that
   * does not say so never shrinks (SESSION_BUSY): the session could not know.
   */
  'yielded'?: (boolean);
}

export interface ResizeRequest__Output {
  /**
   * Id of the lease.
   */
  'leaseId': (string);
  /**
   * The lease's secret. May be empty when the caller is the lease's tenant.
   */
  'secret': (Buffer);
  /**
   * Index of the slice.
   */
  'index': (number);
  /**
   * Its new size, 1 or more; rounded up to the device's granularity.
   */
  'memoryBytes': (number);
  /**
   * Said by the client that is attached, whose allocator uses nothing beyond the new size any more. A slice in use by a session that
   * does not say so never shrinks (SESSION_BUSY): the session could not know.
   */
  'yielded': (boolean);
}
