// Original file: proto/sluice/v1/pool.proto

import type { Device as _sluice_v1_Device, Device__Output as _sluice_v1_Device__Output } from '../../sluice/v1/Device.ts';
import type { Lease as _sluice_v1_Lease, Lease__Output as _sluice_v1_Lease__Output } from '../../sluice/v1/Lease.ts';
import type { QueueEntry as _sluice_v1_QueueEntry, QueueEntry__Output as _sluice_v1_QueueEntry__Output } from '../../sluice/v1/QueueEntry.ts';
import type { Tenant as _sluice_v1_Tenant, Tenant__Output as _sluice_v1_Tenant__Output } from '../../sluice/v1/Tenant.ts';
import type { Long } from '@grpc/proto-loader';

/**
 * What has changed. Items come as a whole and replace what the reader has under their ids.
 */
export interface WatchPoolResponse {
  /**
   * Counts the messages of the stream from 1. A reader that misses one, or loses the stream, opens another.
   */
  'sequence'?: (number | string | Long);
  /**
   * Whether the reader is to forget all it has before it takes this message. The first message is a snapshot; a later one may be.
   */
  'snapshot'?: (boolean);
  /**
   * The server's clock.
   */
  'nowAtMs'?: (number | string | Long);
  /**
   * Devices that are new or changed.
   */
  'devices'?: (_sluice_v1_Device)[];
  /**
   * Devices that are gone.
   */
  'goneDeviceIds'?: (string)[];
  /**
   * Leases that are new or changed; of others a tenant sees as much as in ListLeases. `usage.held_ms` is not kept fresh: it follows from `granted_at_ms`.
   */
  'leases'?: (_sluice_v1_Lease)[];
  /**
   * Leases that the reader was told of and that are gone, by the ids that it was told.
   */
  'goneLeaseIds'?: (string)[];
  /**
   * Whether the queue has changed: then the two fields behind this one replace what the reader has.
   */
  'queueChanged'?: (boolean);
  /**
   * The first 200 requests of the queue, without reasons.
   */
  'queue'?: (_sluice_v1_QueueEntry)[];
  /**
   * How many wait in all.
   */
  'waiting'?: (number);
  /**
   * For admins and monitors: tenants that are new or changed.
   */
  'tenants'?: (_sluice_v1_Tenant)[];
  /**
   * For admins and monitors: tenants that are gone.
   */
  'goneTenants'?: (string)[];
}

/**
 * What has changed. Items come as a whole and replace what the reader has under their ids.
 */
export interface WatchPoolResponse__Output {
  /**
   * Counts the messages of the stream from 1. A reader that misses one, or loses the stream, opens another.
   */
  'sequence': (number);
  /**
   * Whether the reader is to forget all it has before it takes this message. The first message is a snapshot; a later one may be.
   */
  'snapshot': (boolean);
  /**
   * The server's clock.
   */
  'nowAtMs': (number);
  /**
   * Devices that are new or changed.
   */
  'devices': (_sluice_v1_Device__Output)[];
  /**
   * Devices that are gone.
   */
  'goneDeviceIds': (string)[];
  /**
   * Leases that are new or changed; of others a tenant sees as much as in ListLeases. `usage.held_ms` is not kept fresh: it follows from `granted_at_ms`.
   */
  'leases': (_sluice_v1_Lease__Output)[];
  /**
   * Leases that the reader was told of and that are gone, by the ids that it was told.
   */
  'goneLeaseIds': (string)[];
  /**
   * Whether the queue has changed: then the two fields behind this one replace what the reader has.
   */
  'queueChanged': (boolean);
  /**
   * The first 200 requests of the queue, without reasons.
   */
  'queue': (_sluice_v1_QueueEntry__Output)[];
  /**
   * How many wait in all.
   */
  'waiting': (number);
  /**
   * For admins and monitors: tenants that are new or changed.
   */
  'tenants': (_sluice_v1_Tenant__Output)[];
  /**
   * For admins and monitors: tenants that are gone.
   */
  'goneTenants': (string)[];
}
