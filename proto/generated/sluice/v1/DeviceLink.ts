// Original file: proto/sluice/v1/pool.proto


/**
 * NVLink between two devices of a server.
 */
export interface DeviceLink {
  /**
   * Id of the other device.
   */
  'deviceId'?: (string);
  /**
   * Number of links; 0 where only the fact is known.
   */
  'links'?: (number);
}

/**
 * NVLink between two devices of a server.
 */
export interface DeviceLink__Output {
  /**
   * Id of the other device.
   */
  'deviceId': (string);
  /**
   * Number of links; 0 where only the fact is known.
   */
  'links': (number);
}
