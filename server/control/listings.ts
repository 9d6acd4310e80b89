/** What the pool has, as the messages of pool.proto: what the listings answer and what watchers are told. */
import type { Device } from "../../proto/generated/sluice/v1/Device.ts";
import type { Lease as LeaseMessage } from "../../proto/generated/sluice/v1/Lease.ts";
import type { QueueEntry } from "../../proto/generated/sluice/v1/QueueEntry.ts";
import type { Tenant } from "../../proto/generated/sluice/v1/Tenant.ts";
import type { Lease } from "../pool/types.ts";
import type { Broker } from "./broker.ts";
import { deviceMessage, leaseMessage, queueMessage } from "./messages.ts";

export function deviceMessages(broker: Broker): Device[] {
  const counts = new Map<string, number>();
  for (const { slices, state } of broker.leases()) {
    if (state === "suspended") continue;
    for (const { deviceId } of slices) counts.set(deviceId, (counts.get(deviceId) ?? 0) + 1);
  }
  return broker.devices.list().map(({ listing, description }) => {
    const health = broker.devices.healthOf(description.id);
    return deviceMessage(listing, { description, slices: counts.get(description.id) ?? 0, health });
  });
}

export function describeLease(broker: Broker, lease: Lease): LeaseMessage {
  return leaseMessage(lease, {
    clientAddress: broker.clientAddress(lease.id),
    usage: broker.usageOf(lease),
    activity: broker.activityOf(lease.id),
  });
}

export const leaseMessages = (broker: Broker): LeaseMessage[] =>
  broker.leases().map((lease) => describeLease(broker, lease));

/** The whole queue, with the reasons of its first requests. */
export const queueMessages = (broker: Broker): QueueEntry[] =>
  broker.queue.list().map(({ place, requestId }) => queueMessage(place, requestId));

/** By name. */
export const tenantMessages = (broker: Broker): Tenant[] =>
  broker
    .tenants()
    .map(({ tenant, weight, quota, heldBytes, heldSlices, leases, waiting }) => {
      return { name: tenant, weight, quota, heldBytes, devices: heldSlices, leases, waiting };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
