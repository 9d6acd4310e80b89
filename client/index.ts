/**
 * The library's one door.
 *
 * ```ts
 * import { connect } from "sluice";
 *
 * const pool = await connect();
 * await using lease = await pool.allocate({ memory: "4GiB", wait: "30s" });
 * const [gpu] = lease.devices;
 * ```
 */
export type { Device__Output as DeviceInfo } from "../proto/generated/sluice/v1/Device.ts";
export type { Lease__Output as LeaseInfo } from "../proto/generated/sluice/v1/Lease.ts";
export type { QueueEntry__Output as QueueEntryInfo } from "../proto/generated/sluice/v1/QueueEntry.ts";
export type { Usage__Output as LeaseUsage } from "../proto/generated/sluice/v1/Usage.ts";
export type { DeviceReason, ErrorCode, ErrorDetails, ReasonCode } from "../shared/errors.ts";
export { SluiceError } from "../shared/errors.ts";
export type { GlobalInfo, KernelInfo, ParamInfo } from "../shared/generated/calls.ts";
export type { Duration, PolicyName, Priority, ShareOptions, SharingModeName, Size } from "./allocate-options.ts";
export type { KernelArgument } from "./arguments.ts";
export type {
  BufferView,
  CachedWriteOptions,
  DeviceBuffer,
  DeviceMemory,
  FillConstructor,
  FillOptions,
  OverlapWriteOptions,
  ReadIntoOptions,
  ReadOptions,
  TypedArrayConstructor,
  WriteOptions,
} from "./buffer.ts";
export type { ConnectionChange } from "./connection.ts";
export type { QueuePlace, ServerPlace } from "./control.ts";
export type {
  CachedUploadOptions,
  CompileOptions,
  CopyOptions,
  Device,
  LoadOptions,
  MemoryInfo,
  UploadOptions,
} from "./device.ts";
export type { Event, EventOptions } from "./event.ts";
export type { Explanation } from "./explanation.ts";
export type { LeaseNotice } from "./holder.ts";
export type { Lease, LeaseStats } from "./lease.ts";
export type { Dimensions, Kernel, LaunchOptions, Module } from "./module.ts";
export type { MultiplyOptions } from "./multiply.ts";
export {
  type AllocateOptions,
  type ConnectOptions,
  connect,
  type OfServer,
  type Pool,
  type PoolExplanation,
  type PoolLeases,
} from "./pool.ts";
export type { ScalarParameter, ScalarValue } from "./recorder.ts";
export type { Parameters, ParameterValue, Placeholders, Recording, ReplayValues } from "./recording.ts";
export type { Stream, StreamOptions, WaitOptions } from "./stream.ts";
export type { AddressMode, Surface, SurfaceOptions, TexelFormat, Texture, TextureOptions } from "./texture.ts";
export type { TransportKind } from "./transport/open.ts";
