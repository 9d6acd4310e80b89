// Original file: proto/sluice/v1/admin.proto


export interface UncordonRequest {
  /**
   * The device's id.
   */
  'deviceId'?: (string);
}

export interface UncordonRequest__Output {
  /**
   * The device's id.
   */
  'deviceId': (string);
}
