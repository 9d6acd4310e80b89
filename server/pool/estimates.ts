/**
 * When waiting requests are served, if all who hold or are ahead use their whole time and nobody comes before them. An estimate: leases end
 * sooner, and small requests pass big ones. For the first of the queue only, where the ends of what is in the way are known, and worked
 * out only when somebody asks.
 */
import { type Amount, covers, freeOn, minus, NOTHING, plus } from "./amount.ts";
import { candidates, heldOn, withoutHeadRoom } from "./head-room.ts";
import { endOf } from "./leases.ts";
import { inOrder } from "./queue.ts";
import { durationOf, quotaObstacle } from "./quota.ts";
import { mayServe, needFor, refreshPlan } from "./request.ts";
import type { DeviceClass, DeviceRecord, Plan, PoolState, RequestRecord, ServerRecord } from "./state.ts";

/** Requests that get an estimate: nobody plans by what comes after so many others. */
const ESTIMATES_MAX = 32;
/** Changes of one device that are looked at: beyond it a device's future is not known. */
const STEPS_MAX = 64;

/** From `at` on, until the next step. */
interface Step {
  readonly at: number;
  readonly free: Amount;
}

/** What each device has free over time. */
class Future {
  readonly #state: PoolState;
  readonly #devices = new Map<DeviceRecord, readonly Step[]>();

  constructor(state: PoolState) {
    this.#state = state;
  }

  stepsOf(device: DeviceRecord): readonly Step[] {
    let steps = this.#devices.get(device);
    if (steps === undefined) {
      steps = this.#begin(device);
      this.#devices.set(device, steps);
    }
    return steps;
  }

  #begin(device: DeviceRecord): Step[] {
    const ends = [...device.leases].map((lease) => ({ at: endOf(this.#state, lease), held: heldOn(lease, device) }));
    const known = ends.filter(({ at }) => at !== Number.POSITIVE_INFINITY).sort((a, b) => a.at - b.at);
    const steps = [{ at: this.#state.now, free: freeOn(device) }];
    for (const { at, held } of known.slice(0, STEPS_MAX)) steps.push({ at, free: plus(steps.at(-1)!.free, held) });
    return steps;
  }

  /** When something that takes so much for so long may start on the device: spans in order, their ends included. */
  startsOn(device: DeviceRecord, { need, durationMs }: { readonly need: Amount; readonly durationMs: number }): Span[] {
    const steps = this.stepsOf(device);
    const spans: Span[] = [];
    let from = steps[0]!.at;
    for (const [index, { at, free }] of steps.entries()) {
      if (covers(free, need)) continue;
      if (at - durationMs >= from) spans.push({ from, to: at - durationMs });
      from = steps[index + 1]?.at ?? Number.POSITIVE_INFINITY;
    }
    if (from !== Number.POSITIVE_INFINITY) spans.push({ from, to: Number.POSITIVE_INFINITY });
    return spans;
  }

  take(device: DeviceRecord, need: Amount, span: { readonly at: number; readonly until: number }): void {
    const steps: Step[] = [];
    const edges = new Set([span.at, span.until]);
    edges.delete(Number.POSITIVE_INFINITY);
    let free = NOTHING;
    const all = [...this.stepsOf(device)];
    for (const at of [...new Set([...all.map((step) => step.at), ...edges])].sort((a, b) => a - b)) {
      free = all.findLast((step) => step.at <= at)?.free ?? free;
      steps.push({ at, free: at >= span.at && at < span.until ? minus(free, need) : free });
    }
    this.#devices.set(device, steps);
  }
}

interface Span {
  readonly from: number;
  readonly to: number;
}

interface Start {
  readonly at: number;
  readonly devices: readonly { readonly device: DeviceRecord; readonly need: Amount }[];
}

/** The first time at which a server has room for the plan, for so long. */
function startOn(
  future: Future,
  server: ServerRecord,
  wish: { readonly plan: Plan; readonly durationMs: number },
): Start | undefined {
  const { plan, durationMs } = wish;
  const wanted = Math.ceil(plan.count / plan.perDevice);
  const usable: { device: DeviceRecord; need: Amount; spans: readonly Span[] }[] = [];
  for (const device of server.devices) {
    const need = needFor(plan, device, plan.perDevice);
    if (need === undefined || !mayServe(plan, device)) continue;
    usable.push({ device, need, spans: future.startsOn(device, { need, durationMs }) });
  }
  const at = firstTogether(
    usable.flatMap(({ spans }) => spans),
    wanted,
  );
  if (at === undefined) return undefined;
  const devices = usable.filter(({ spans }) => spans.some(({ from, to }) => from <= at && at <= to));
  return { at, devices: devices.slice(0, wanted) };
}

/** The first time that lies in so many of the spans. */
function firstTogether(spans: readonly Span[], wanted: number): number | undefined {
  const ends = spans.map(({ to }) => to).sort((a, b) => a - b);
  let ended = 0;
  for (const [begun, from] of spans
    .map(({ from }) => from)
    .sort((a, b) => a - b)
    .entries()) {
    while (ends[ended]! < from) ended++;
    if (begun + 1 - ended >= wanted) return from;
  }
  return undefined;
}

function work(state: PoolState): Map<RequestRecord, number> {
  const starts = new Map<RequestRecord, number>();
  const future = new Future(state);
  /** Classes of devices on which somebody waits for nobody knows how long. */
  const unknown = new Set<DeviceClass>();
  let left = ESTIMATES_MAX;
  for (const record of inOrder(state)) {
    if (left-- === 0) break;
    refreshPlan(state, record);
    const { plan, request, tenant } = record;
    const durationMs = durationOf(tenant, request);
    const classes = plan.exact === undefined ? plan.fits : plan.exact.keys();
    const used = new Set([...classes].map((one) => one.class));
    const isOpen = quotaObstacle(record) === undefined && ![...used].some((one) => unknown.has(one));
    let best: Start | undefined;
    for (const server of isOpen ? new Set(candidates(state, plan)) : []) {
      const start = startOn(future, server, { plan, durationMs });
      if (start !== undefined && (best === undefined || start.at < best.at)) best = start;
    }
    if (best === undefined) {
      for (const one of used) unknown.add(one);
      continue;
    }
    starts.set(record, best.at);
    const span = { at: best.at, until: best.at + durationMs };
    for (const { device, need } of best.devices) future.take(device, need, span);
  }
  return starts;
}

/** When the request at this place is served, by estimate; of the first of the queue, at the latest. Undefined where that is not known. */
export function estimatedStart(state: PoolState, record: RequestRecord, position: number): number | undefined {
  if (state.headRoom?.holder === record) return notBefore(state, state.headRoom.startsAt);
  if (state.headRoom === undefined || record.reservation !== undefined || position > ESTIMATES_MAX) return undefined;
  if (state.estimates?.changes !== state.changes) {
    state.estimates = { changes: state.changes, starts: withoutHeadRoom(state, () => work(state)) };
  }
  return notBefore(state, state.estimates.starts.get(record));
}

const notBefore = ({ now }: PoolState, start: number | undefined): number | undefined =>
  start === undefined ? undefined : Math.max(start, now);
