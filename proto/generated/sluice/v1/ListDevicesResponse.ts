// Original file: proto/sluice/v1/pool.proto

import type { Device as _sluice_v1_Device, Device__Output as _sluice_v1_Device__Output } from '../../sluice/v1/Device.ts';

export interface ListDevicesResponse {
  /**
   * In the order of their ids.
   */
  'devices'?: (_sluice_v1_Device)[];
  /**
   * The server's version.
   */
  'serverVersion'?: (string);
  /**
   * Random id of this run of the server.
   */
  'serverId'?: (string);
  /**
   * As in `Connection`: a client may connect while it asks for a lease, and say HELLO once it has one.
   */
  'dataEndpoints'?: (string)[];
}

export interface ListDevicesResponse__Output {
  /**
   * In the order of their ids.
   */
  'devices': (_sluice_v1_Device__Output)[];
  /**
   * The server's version.
   */
  'serverVersion': (string);
  /**
   * Random id of this run of the server.
   */
  'serverId': (string);
  /**
   * As in `Connection`: a client may connect while it asks for a lease, and say HELLO once it has one.
   */
  'dataEndpoints': (string)[];
}
