// Original file: proto/sluice/v1/admin.proto


export interface CordonRequest {
  /**
   * The device's id.
   */
  'deviceId'?: (string);
  /**
   * Why, for those who wait; at most 128 characters. Default: that an admin has cordoned it.
   */
  'message'?: (string);
}

export interface CordonRequest__Output {
  /**
   * The device's id.
   */
  'deviceId': (string);
  /**
   * Why, for those who wait; at most 128 characters. Default: that an admin has cordoned it.
   */
  'message': (string);
}
