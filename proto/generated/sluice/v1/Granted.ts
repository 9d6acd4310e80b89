// Original file: proto/sluice/v1/pool.proto

import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from '../../sluice/v1/Lease.ts';
import type { Connection as _sluice_v1_Connection, Connection__Output as _sluice_v1_Connection__Output } from '../../sluice/v1/Connection.ts';
import type { GrantedLease as _sluice_v1_GrantedLease, GrantedLease__Output as _sluice_v1_GrantedLease__Output } from '../../sluice/v1/GrantedLease.ts';

export interface Granted {
  /**
   * The lease.
   */
  'lease'?: (_sluice_v1_Lease | null);
  /**
   * The lease's secret, 32 bytes. It proves the right to attach, to hold and to release; it is never shown again.
   */
  'secret'?: (Buffer | Uint8Array | string);
  /**
   * How to work under it.
   */
  'connection'?: (_sluice_v1_Connection | null);
  /**
   * What its holder should know about its devices, such as that no link joins them.
   */
  'warnings'?: (string)[];
  /**
   * The other leases of a request for several. Each is held and released for itself.
   */
  'others'?: (_sluice_v1_GrantedLease)[];
}

export interface Granted__Output {
  /**
   * The lease.
   */
  'lease': (_sluice_v1_Lease__Output | null);
  /**
   * The lease's secret, 32 bytes. It proves the right to attach, to hold and to release; it is never shown again.
   */
  'secret': (Buffer);
  /**
   * How to work under it.
   */
  'connection': (_sluice_v1_Connection__Output | null);
  /**
   * What its holder should know about its devices, such as that no link joins them.
   */
  'warnings': (string)[];
  /**
   * The other leases of a request for several. Each is held and released for itself.
   */
  'others': (_sluice_v1_GrantedLease__Output)[];
}
