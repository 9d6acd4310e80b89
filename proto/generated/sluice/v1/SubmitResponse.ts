// Original file: proto/sluice/v1/pool.proto


/**
 * Bytes of a data connection, from the server.
 */
export interface SubmitResponse {
  /**
   * The next bytes.
   */
  'data'?: (Buffer | Uint8Array | string);
}

/**
 * Bytes of a data connection, from the server.
 */
export interface SubmitResponse__Output {
  /**
   * The next bytes.
   */
  'data': (Buffer);
}
