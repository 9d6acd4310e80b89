// Original file: proto/sluice/v1/pool.proto

import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from '../../sluice/v1/Lease.ts';
import type { Long } from '@grpc/proto-loader';

export interface Granted {
  'lease'?: (_sluice_v1_Lease | null);
  /**
   * The lease's secret, 32 bytes. It proves the right to attach, to hold and to release; it is never shown again.
   */
  'secret'?: (Buffer | Uint8Array | string);
  /**
   * Where sessions connect, best first: `tcp://HOST:PORT`, or `tcp://:PORT` for the host of the gRPC server.
   */
  'dataEndpoints'?: (string)[];
  /**
   * How often to send to Hold.
   */
  'heartbeatIntervalMs'?: (number | string | Long);
  /**
   * After how long without a message the lease ends. 0: detached, no heartbeats needed.
   */
  'heartbeatTimeoutMs'?: (number | string | Long);
}

export interface Granted__Output {
  'lease': (_sluice_v1_Lease__Output | null);
  /**
   * The lease's secret, 32 bytes. It proves the right to attach, to hold and to release; it is never shown again.
   */
  'secret': (Buffer);
  /**
   * Where sessions connect, best first: `tcp://HOST:PORT`, or `tcp://:PORT` for the host of the gRPC server.
   */
  'dataEndpoints': (string)[];
  /**
   * How often to send to Hold.
   */
  'heartbeatIntervalMs': (number);
  /**
   * After how long without a message the lease ends. 0: detached, no heartbeats needed.
   */
  'heartbeatTimeoutMs': (number);
}
