// Original file: proto/sluice/v1/pool.proto

import type { Long } from '@grpc/proto-loader';

/**
 * How to work under a lease.
 */
export interface Connection {
  /**
   * Where sessions connect, best first: `unix:///PATH` for clients that can open that socket; `tcp://HOST:PORT`, or with TLS 1.3
   * `tls://HOST:PORT`, where an empty host means that of the gRPC server; `grpc://` for Submit.
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

/**
 * How to work under a lease.
 */
export interface Connection__Output {
  /**
   * Where sessions connect, best first: `unix:///PATH` for clients that can open that socket; `tcp://HOST:PORT`, or with TLS 1.3
   * `tls://HOST:PORT`, where an empty host means that of the gRPC server; `grpc://` for Submit.
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
