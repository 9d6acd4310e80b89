// Original file: proto/sluice/v1/pool.proto

import type { SharingMode as _sluice_v1_SharingMode, SharingMode__Output as _sluice_v1_SharingMode__Output } from '../../sluice/v1/SharingMode.ts';
import type { PlacementPolicy as _sluice_v1_PlacementPolicy, PlacementPolicy__Output as _sluice_v1_PlacementPolicy__Output } from '../../sluice/v1/PlacementPolicy.ts';
import type { Long } from '@grpc/proto-loader';

export interface AllocateRequest {
  /**
   * Number of slices of a lease, each on a device of its own unless `same_device_allowed`. Default 1, at most 16.
   */
  'devices'?: (number);
  /**
   * Bytes that the program can use, 1 or more; rounded up to the device's granularity. The device's overhead per lease is
   * charged on top.
   */
  'memoryBytes'?: (number | string | Long);
  /**
   * Part of each device's lendable memory, above 0 and at most 1, the device's overhead per lease inside, so that four quarters
   * always fit; rounded down to the device's granularity. The slice is smaller than that part by the overhead.
   */
  'fraction'?: (number | string);
  /**
   * How long to wait for capacity. 0: grant now or fail. At most 30 days.
   */
  'waitMs'?: (number | string | Long);
  /**
   * Whether several slices may lie on one device.
   */
  'sameDeviceAllowed'?: (boolean);
  /**
   * A name for people, such as the job's; at most 128 characters.
   */
  'name'?: (string);
  /**
   * The lease ends after this time whatever happens. 0: no bound.
   */
  'durationMaxMs'?: (number | string | Long);
  /**
   * The lease needs no heartbeats. It then must have a `duration_max_ms`.
   */
  'detached'?: (boolean);
  /**
   * Chosen by the client and unique to the request, such as a UUID. A client whose call broke asks again under the same id: it gets
   * its place in the queue back, or the lease that was granted meanwhile. Without one nobody can take the request up again.
   */
  'requestId'?: (string);
  /**
   * Conditions that every device must meet, such as `device.name~A100`, `server.cuda-version>=12.4` or `label.zone=a`: a key,
   * one of = != >= <= > < ~ and a value. Keys are server.addr, server.hostname, server.has-rdma, server.cuda-version,
   * server.driver-version, device.id, device.name, device.phy-memory, device.capability, device.kind and label.KEY. `~` asks
   * for a part of the text. A device without the fact meets no condition but `!=`. At most 32, each of at most 256 characters.
   */
  'filters'?: (string)[];
  /**
   * How the devices are shared with others. Not set: dynamic.
   */
  'mode'?: (_sluice_v1_SharingMode);
  /**
   * Which of the devices with room are taken. Not set: the server's default.
   */
  'policy'?: (_sluice_v1_PlacementPolicy);
  /**
   * Requests of higher priority are served first: from -100 to 100. Default 0. No effect beside a `priority_class`.
   */
  'priority'?: (number);
  /**
   * Tainted devices that may be used: by the taint's label, as KEY or KEY=VALUE. At most 32.
   */
  'tolerations'?: (string)[];
  /**
   * Devices that must not be used: by a label, as KEY or KEY=VALUE. At most 32.
   */
  'avoidedLabels'?: (string)[];
  /**
   * The lease ends when it makes no calls for so long, and none of its kernels runs, after a notice; no longer than the server's own
   * idle time. 0: that.
   */
  'idleTimeoutMs'?: (number | string | Long);
  /**
   * The priority by a name that the server's admin has given it, such as `low`, `normal` or `high`. Empty: `priority` says it.
   */
  'priorityClass'?: (string);
  /**
   * Id of a reservation of the caller's tenant: the lease is inside it or nowhere. The mode is then profile.
   */
  'reservationId'?: (string);
  /**
   * Leases to be granted together or not at all, on one server, each with as many slices as `devices` says and on the same terms; as
   * for processes of one job, each of which needs a lease of its own. Default 1, at most 64.
   */
  'leases'?: (number);
  /**
   * Part of each device's time that is promised to the lease, at least 0.001 and at most 1, counted in thousandths and rounded down. The parts
   * promised on a device never exceed 1. 0: no promise; in exclusive mode it is all, and a fixed slice has its part in any case.
   */
  'compute'?: (number | string);
  /**
   * Size of each slice. Exactly one must be set, unless the mode is not dynamic: in exclusive mode it has no effect, and in
   * profile mode a request without it takes a slice of any size.
   */
  'share'?: "memoryBytes"|"fraction";
}

export interface AllocateRequest__Output {
  /**
   * Number of slices of a lease, each on a device of its own unless `same_device_allowed`. Default 1, at most 16.
   */
  'devices': (number);
  /**
   * Bytes that the program can use, 1 or more; rounded up to the device's granularity. The device's overhead per lease is
   * charged on top.
   */
  'memoryBytes'?: (number);
  /**
   * Part of each device's lendable memory, above 0 and at most 1, the device's overhead per lease inside, so that four quarters
   * always fit; rounded down to the device's granularity. The slice is smaller than that part by the overhead.
   */
  'fraction'?: (number);
  /**
   * How long to wait for capacity. 0: grant now or fail. At most 30 days.
   */
  'waitMs': (number);
  /**
   * Whether several slices may lie on one device.
   */
  'sameDeviceAllowed': (boolean);
  /**
   * A name for people, such as the job's; at most 128 characters.
   */
  'name': (string);
  /**
   * The lease ends after this time whatever happens. 0: no bound.
   */
  'durationMaxMs': (number);
  /**
   * The lease needs no heartbeats. It then must have a `duration_max_ms`.
   */
  'detached': (boolean);
  /**
   * Chosen by the client and unique to the request, such as a UUID. A client whose call broke asks again under the same id: it gets
   * its place in the queue back, or the lease that was granted meanwhile. Without one nobody can take the request up again.
   */
  'requestId': (string);
  /**
   * Conditions that every device must meet, such as `device.name~A100`, `server.cuda-version>=12.4` or `label.zone=a`: a key,
   * one of = != >= <= > < ~ and a value. Keys are server.addr, server.hostname, server.has-rdma, server.cuda-version,
   * server.driver-version, device.id, device.name, device.phy-memory, device.capability, device.kind and label.KEY. `~` asks
   * for a part of the text. A device without the fact meets no condition but `!=`. At most 32, each of at most 256 characters.
   */
  'filters': (string)[];
  /**
   * How the devices are shared with others. Not set: dynamic.
   */
  'mode': (_sluice_v1_SharingMode__Output);
  /**
   * Which of the devices with room are taken. Not set: the server's default.
   */
  'policy': (_sluice_v1_PlacementPolicy__Output);
  /**
   * Requests of higher priority are served first: from -100 to 100. Default 0. No effect beside a `priority_class`.
   */
  'priority': (number);
  /**
   * Tainted devices that may be used: by the taint's label, as KEY or KEY=VALUE. At most 32.
   */
  'tolerations': (string)[];
  /**
   * Devices that must not be used: by a label, as KEY or KEY=VALUE. At most 32.
   */
  'avoidedLabels': (string)[];
  /**
   * The lease ends when it makes no calls for so long, and none of its kernels runs, after a notice; no longer than the server's own
   * idle time. 0: that.
   */
  'idleTimeoutMs': (number);
  /**
   * The priority by a name that the server's admin has given it, such as `low`, `normal` or `high`. Empty: `priority` says it.
   */
  'priorityClass': (string);
  /**
   * Id of a reservation of the caller's tenant: the lease is inside it or nowhere. The mode is then profile.
   */
  'reservationId': (string);
  /**
   * Leases to be granted together or not at all, on one server, each with as many slices as `devices` says and on the same terms; as
   * for processes of one job, each of which needs a lease of its own. Default 1, at most 64.
   */
  'leases': (number);
  /**
   * Part of each device's time that is promised to the lease, at least 0.001 and at most 1, counted in thousandths and rounded down. The parts
   * promised on a device never exceed 1. 0: no promise; in exclusive mode it is all, and a fixed slice has its part in any case.
   */
  'compute': (number);
  /**
   * Size of each slice. Exactly one must be set, unless the mode is not dynamic: in exclusive mode it has no effect, and in
   * profile mode a request without it takes a slice of any size.
   */
  'share'?: "memoryBytes"|"fraction";
}
