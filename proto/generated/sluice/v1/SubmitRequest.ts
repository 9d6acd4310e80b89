// Original file: proto/sluice/v1/pool.proto


/**
 * Bytes of a data connection, to the server.
 */
export interface SubmitRequest {
  /**
   * The next bytes, at most 60 KiB.
   */
  'data'?: (Buffer | Uint8Array | string);
}

/**
 * Bytes of a data connection, to the server.
 */
export interface SubmitRequest__Output {
  /**
   * The next bytes, at most 60 KiB.
   */
  'data': (Buffer);
}
