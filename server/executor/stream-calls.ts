/** The calls about order and time: attach, streams, events and synchronisation; see proto/calls.ts. */
import { SluiceError } from "../../shared/errors.ts";
import type {
  AttachAnswer,
  AttachCall,
  DeviceSynchronizeCall,
  EventCreateCall,
  EventDestroyCall,
  EventElapsedAnswer,
  EventElapsedCall,
  EventQueryAnswer,
  EventQueryCall,
  EventRecordCall,
  EventSynchronizeCall,
  StreamCreateCall,
  StreamDestroyCall,
  StreamQueryAnswer,
  StreamQueryCall,
  StreamSynchronizeCall,
  StreamWaitEventCall,
} from "../../shared/generated/calls.ts";
import { ALLOCATION_GRANULARITY_BYTES } from "../../shared/limits.ts";
import type { Workspace } from "./workspace.ts";

export async function attach(work: Workspace, call: AttachCall): Promise<AttachAnswer> {
  const { assignment, arenaBase, device } = await work.open(call.device);
  const { description, arenaBytes } = assignment;
  const { staging } = work;
  return {
    arenaBase,
    arenaBytes,
    granularityBytes: ALLOCATION_GRANULARITY_BYTES,
    ...device.attributes,
    kind: description.kind,
    name: description.name,
    uuid: description.id,
    stagingPath: staging?.path ?? "",
    stagingName: staging?.name ?? "",
    stagingBytes: staging?.byteLength ?? 0,
  };
}

export function streamCreate(work: Workspace, call: StreamCreateCall): void {
  work.streams.claim(call.stream);
  const slice = work.slice(call.device);
  const stream = slice.device.createStream({ flags: call.flags, priority: call.priority });
  work.streams.set(call.stream, { slice, stream });
}

export function streamDestroy(work: Workspace, call: StreamDestroyCall): void {
  const { slice, stream } = work.streams.remove(call.stream);
  slice.device.destroyStream(stream);
}

export function streamSynchronize(work: Workspace, call: StreamSynchronizeCall): void | Promise<void> {
  if (call.stream === 0) return synchronizeDefaultStreams(work);
  const { slice, stream } = work.streams.get(call.stream);
  return slice.device.synchronizeStream(stream);
}

/** Stream 0 does not say of which device: it stands for the default streams of all. */
async function synchronizeDefaultStreams(work: Workspace): Promise<void> {
  for (const { device } of work.openSlices) await device.synchronizeStream(undefined);
}

export function streamQuery(work: Workspace, call: StreamQueryCall): StreamQueryAnswer {
  if (call.stream === 0) {
    return { done: work.openSlices.every(({ device }) => device.queryStream(undefined)) ? 1 : 0 };
  }
  const { slice, stream } = work.streams.get(call.stream);
  return { done: slice.device.queryStream(stream) ? 1 : 0 };
}

export function streamWaitEvent(work: Workspace, call: StreamWaitEventCall): void | Promise<void> {
  const owned = work.events.get(call.event);
  const waiting = call.stream === 0 ? undefined : work.streams.get(call.stream);
  // A device knows only its own events: for one of another device the whole session waits, which keeps the order too.
  if (waiting !== undefined && waiting.slice !== owned.slice) return owned.slice.device.synchronizeEvent(owned.event);
  owned.slice.device.waitEvent(waiting?.stream, owned.event);
}

export function eventCreate(work: Workspace, call: EventCreateCall): void {
  work.events.claim(call.event);
  const slice = work.slice(call.device);
  work.events.set(call.event, { slice, event: slice.device.createEvent(call.flags) });
}

export function eventDestroy(work: Workspace, call: EventDestroyCall): void {
  const { slice, event } = work.events.remove(call.event);
  slice.device.destroyEvent(event);
}

export function eventRecord(work: Workspace, call: EventRecordCall): void {
  const { slice, event } = work.events.get(call.event);
  slice.device.recordEvent(event, work.stream(call.stream, slice));
}

export function eventSynchronize(work: Workspace, call: EventSynchronizeCall): void | Promise<void> {
  const { slice, event } = work.events.get(call.event);
  return slice.device.synchronizeEvent(event);
}

export function eventQuery(work: Workspace, call: EventQueryCall): EventQueryAnswer {
  const { slice, event } = work.events.get(call.event);
  return { done: slice.device.queryEvent(event) ? 1 : 0 };
}

export function eventElapsed(work: Workspace, call: EventElapsedCall): EventElapsedAnswer {
  const start = work.events.get(call.start);
  const end = work.events.get(call.end);
  if (start.slice !== end.slice) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `The events [${call.start}] and [${call.end}] are of the devices [${start.slice.index}] and [${end.slice.index}]; time is taken on one.`,
    );
  }
  return { milliseconds: start.slice.device.elapsed(start.event, end.event) };
}

export function deviceSynchronize(work: Workspace, call: DeviceSynchronizeCall): void | Promise<void> {
  return work.slice(call.device).device.synchronize();
}
