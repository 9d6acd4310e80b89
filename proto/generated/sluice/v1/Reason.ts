// Original file: proto/sluice/v1/pool.proto


/**
 * Why a device (or the request as a whole) can not serve a request now.
 */
export interface Reason {
  /**
   * The device's id; empty for the request as a whole.
   */
  'device'?: (string);
  /**
   * One of the reason codes in proto/README.md.
   */
  'code'?: (string);
  /**
   * The reason as a sentence with its values.
   */
  'message'?: (string);
}

/**
 * Why a device (or the request as a whole) can not serve a request now.
 */
export interface Reason__Output {
  /**
   * The device's id; empty for the request as a whole.
   */
  'device': (string);
  /**
   * One of the reason codes in proto/README.md.
   */
  'code': (string);
  /**
   * The reason as a sentence with its values.
   */
  'message': (string);
}
