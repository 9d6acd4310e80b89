/**
 * The broker: brings the world's events to the pure pool and carries its effects out: stores grants, tells clients, ends
 * executors, and keeps the one timer. It decides nothing about who gets what. Clock, randomness and store are given.
 */
import { type ErrorCode, SluiceError, toSluiceError } from "../../shared/errors.ts";
import { ARENA_BASE, ARENA_STRIDE_BYTES } from "../../shared/limits.ts";
import type { CallShape } from "../executor/call-shape.ts";
import type { ExecutorUsage } from "../executor/control-messages.ts";
import {
  createPool,
  decide,
  explain,
  findLease,
  listLeases,
  listQueue,
  listReservations,
  listTenants,
  nextDeadline,
  type PoolState,
  queuePlace,
} from "../pool/pool.ts";
import type { Effect, Explanation, Lease, NoticeKind, PoolEvent, TenantListing } from "../pool/types.ts";
import type { Attachment, LeaseDirectory, SessionEvents, SessionLease } from "../session/lease-directory.ts";
import type { BrokerOptions, TenantTerms, Wish } from "./broker-options.ts";
import { DeviceDesk } from "./device-desk.ts";
import { LeaseActivity, type LeaseMoment, type LeaseRates } from "./lease-activity.ts";
import {
  EndedLeases,
  endErrorCode,
  type Holder,
  type LeaseNotice,
  type LeaseRecord,
  type LeaseUsage,
  newRecord,
  notFound,
  noUsage,
  type Resized,
  wrongSecret,
} from "./lease-record.ts";
import { hashOfSecret, LeaseSecret, SECRET_BYTES } from "./lease-secret.ts";
import { toStored } from "./lease-store.ts";
import { QueueDesk } from "./queue-desk.ts";
import { ReservationDesk } from "./reservation-desk.ts";
import { Resizes, type ResizeWish } from "./resizes.ts";
import type { RestoredLease, RestoredState } from "./restored-state.ts";
import { Suspensions } from "./suspensions.ts";
import { type RequestListener, WaitingRequests } from "./waiting-requests.ts";

export type { BrokerOptions, PooledDevice, TenantTerms, Wish } from "./broker-options.ts";

const COMPUTE_NOT_HELD =
  "The server holds no compute shares (--compute-policy best-effort): others may take the device's time.";

export class Broker implements LeaseDirectory, SessionEvents {
  readonly reservations: ReservationDesk;
  readonly queue: QueueDesk;
  readonly devices: DeviceDesk;
  readonly suspensions: Suspensions;
  readonly #options: BrokerOptions;
  readonly #pool: PoolState;
  readonly #waiting: WaitingRequests;
  readonly #resizes: Resizes;
  readonly #records = new Map<string, LeaseRecord>();
  readonly #ended = new EndedLeases((leaseId) => this.#options.store.endedLease(leaseId));
  #cancelForgetting: (() => void) | undefined;
  readonly #events: PoolEvent[] = [];
  #applying = false;
  #revision = 0;
  #closed = false;
  #cancelTimer: (() => void) | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#pool = createPool({ ...options.pool, heartbeatTimeoutMs: options.heartbeatTimeoutMs });
    this.reservations = new ReservationDesk({
      store: options.reservations,
      apply: (event) => this.#apply(event),
      list: () => listReservations(this.#pool),
      newId: () => `reservation-${options.randomBytes(8).toString("hex")}`,
      withDefaults: (wish) => this.#withDefaults(wish),
    });
    this.#resizes = new Resizes({
      apply: (event) => this.#apply(event),
      saveSize: (id, slice) => options.store.saveSize(id, slice, options.clock.now()),
      resizeSlice: options.resizeSlice,
      now: () => options.clock.now(),
      tell: (id, size) => {
        for (const holder of this.#records.get(id)?.holders ?? []) holder.resized(size);
      },
      log: options.log,
    });
    this.suspensions = new Suspensions({
      ...{ store: options.store, park: options.park, unpark: options.unpark, log: options.log },
      apply: (event) => this.#apply(event),
      find: (id) => findLease(this.#pool, id),
      place: (id) => queuePlace(this.#pool, id),
      prove: (id, secret) => (secret.byteLength > 0 ? this.#proven(id, secret) : this.#live(id)).lease,
      now: () => options.clock.now(),
    });
    this.#waiting = new WaitingRequests({
      clock: options.clock,
      store: options.store,
      list: () => listQueue(this.#pool),
      place: (id) => queuePlace(this.#pool, id),
    });
    this.queue = new QueueDesk({ pool: this.#pool, waiting: this.#waiting, apply: (event) => this.#apply(event) });
    this.devices = new DeviceDesk({
      ...options,
      pool: this.#pool,
      apply: (event) => this.#apply(event),
      changed: () => {
        this.#revision++;
      },
      notify: (deviceId, notice) => this.#notifyLeasesOn(deviceId, notice),
    });
    for (const device of options.devices) this.#apply({ kind: "deviceAdded", device });
  }

  /**
   * Asks the pool for a lease; what becomes of it is told to the listener. A request with the id of an earlier one of the same tenant
   * that waits, or whose lease lives, is that one. Returns what withdraws the request.
   */
  request(wish: Wish, listener: RequestListener): () => void {
    const known = this.#waiting.find(wish.tenant, listener.requestId);
    const id = known ?? `lease-${this.#options.randomBytes(8).toString("hex")}`;
    if (known === undefined) {
      this.#waiting.add(id, wish.tenant, listener);
      this.#apply({ kind: "requested", request: { ...this.#withDefaults(wish), id } });
    } else if (!this.#waiting.rejoin(id, listener)) this.#tellGrantAgain(id, listener);
    return () => {
      // Once the client has its grant, the end of the call that brought it means nothing.
      if (this.#waiting.remove(id, listener)) this.#apply({ kind: "withdrawn", id });
    };
  }

  /** The answer to a request got lost, after its lease was stored. */
  #tellGrantAgain(id: string, listener: RequestListener): void {
    try {
      const [first, ...others] = this.#waiting.claim(id).map((each) => {
        const { lease, record } = this.#live(each);
        return { lease, secret: record.secret.reveal() };
      });
      listener.granted({ ...first!, others, warnings: [] });
    } catch (error) {
      listener.refused(toSluiceError(error));
    }
  }

  /** Takes up the run before a restart; called once, before anything else happens. */
  restore({ leases, requests, usage }: RestoredState): void {
    const { clock, heartbeatTimeoutMs } = this.#options;
    for (const [tenant, byteMs] of usage) this.#apply({ kind: "usageRestored", tenant, byteMs });
    const isSuspended = ({ lease }: RestoredLease): boolean => lease.suspensionState === "suspended";
    for (const lease of leases) if (!isSuspended(lease)) this.#adopt(lease);
    for (const lease of leases) if (isSuspended(lease)) this.#adopt(lease);
    for (const { request, requestId } of requests) {
      this.#waiting.restore(request, requestId);
      this.#apply({ kind: "requested", request });
    }
    // A client that is alive comes back at once; nobody waits for those that are not.
    this.#cancelForgetting = clock.schedule(heartbeatTimeoutMs, () => this.#forgetAbsent());
  }

  #adopt({ lease, secret, requestId, usage, failure }: RestoredLease): void {
    this.#records.set(lease.id, newRecord(new LeaseSecret(secret ?? this.#options.randomBytes(SECRET_BYTES)), usage));
    this.#waiting.noteLease(lease, requestId);
    this.#apply({ kind: "adopted", lease });
    const suspended = findLease(this.#pool, lease.id)?.suspension;
    const record = this.#records.get(lease.id);
    if (suspended !== undefined && record !== undefined)
      record.suspension = { kind: "suspended", message: suspended.message, deadlineAtMs: 0 };
    if (failure !== undefined) this.#apply({ kind: "failed", id: lease.id, ...failure });
  }

  #forgetAbsent(): void {
    const { requests, leases } = this.#waiting.absent();
    for (const id of requests) {
      this.#waiting.refuse(id, new SluiceError("CANCELLED", "The client of the request does not come back."));
      this.#apply({ kind: "withdrawn", id });
    }
    // A detached one would live for want of a client that could release it.
    for (const id of leases) this.#apply({ kind: "released", id });
  }

  /** What would become of a request now; changes nothing. Throws SluiceError BAD_ARGUMENT for what is no request at all. */
  explain(wish: Wish): Explanation {
    this.#apply({ kind: "tick" });
    const explanation = explain(this.#pool, { ...this.#withDefaults(wish), id: "explained" });
    if (explanation.kind !== "refused" || explanation.code !== "BAD_ARGUMENT") return explanation;
    throw new SluiceError(explanation.code, explanation.message);
  }

  /** A lease for who has its secret; throws as `find` does, and WRONG_SECRET. */
  lease(leaseId: string, secret: Uint8Array): Lease {
    return this.#proven(leaseId, secret).lease;
  }

  /** The tenant of a lease, also of one that has ended a while ago. Throws SluiceError LEASE_NOT_FOUND. */
  ownerOf(leaseId: string): string {
    const tenant = findLease(this.#pool, leaseId)?.tenant ?? this.#ended.get(leaseId)?.tenant;
    if (tenant === undefined) throw notFound(leaseId);
    return tenant;
  }

  /** Joins the holders of a lease; returns what to do with each of their messages and at their end. */
  hold(leaseId: string, secret: Uint8Array, holder: Holder): { beat: () => void; leave: () => void } {
    const { record } = this.#proven(leaseId, secret);
    record.holders.add(holder);
    if (record.notice !== undefined) holder.notice(record.notice);
    if (record.suspension !== undefined) holder.notice(record.suspension);
    for (const size of this.#resizes.known(leaseId)) holder.resized(size);
    return {
      beat: () => this.#apply({ kind: "heartbeat", id: leaseId }),
      leave: () => record.holders.delete(holder),
    };
  }

  /** Ends a lease; resolves when its memory is back in the pool. An empty secret is for the lease's own tenant. */
  async release(leaseId: string, secret: Uint8Array): Promise<{ usage: LeaseUsage; released: boolean }> {
    const ended = this.#ended.get(leaseId);
    const known = this.#records.get(leaseId) ?? ended;
    if (known === undefined) throw notFound(leaseId);
    if (secret.byteLength > 0 && !known.secret.matches(secret)) throw wrongSecret(leaseId);
    if (ended !== undefined) return { usage: ended.usage, released: false };
    const closed = new Promise<LeaseUsage>((resolve) => this.#records.get(leaseId)!.onClosed.push(resolve));
    const wasEnding = findLease(this.#pool, leaseId)?.state === "ending";
    this.#apply({ kind: "released", id: leaseId });
    return { usage: await closed, released: !wasEnding };
  }

  /**
   * Gives a slice of a lease another size; resolves with what it then has. An empty secret is for the lease's own tenant. Throws as `find`
   * does, WRONG_SECRET, SESSION_BUSY, BAD_ARGUMENT, NO_CAPACITY, QUOTA_EXCEEDED, UNSUPPORTED, and what the executor throws.
   */
  resize(leaseId: string, secret: Uint8Array, wish: ResizeWish): Promise<Resized> {
    const { lease } = secret.byteLength > 0 ? this.#proven(leaseId, secret) : this.#live(leaseId);
    return this.#resizes.ask(lease, wish);
  }

  /** The devices of a lease that is not closed yet; none for any other. Costs the same however many leases there are. */
  deviceIdsOf(leaseId: string): string[] {
    return findLease(this.#pool, leaseId)?.slices.map(({ deviceId }) => deviceId) ?? [];
  }

  /** Takes a lease back after the grace; returns when it ends. Throws as `find` does. */
  revoke(leaseId: string, why: { readonly graceMs: number; readonly message: string }): number {
    this.#live(leaseId);
    this.#apply({ kind: "revoked", id: leaseId, ...why });
    return findLease(this.#pool, leaseId)?.endsAt ?? this.#options.clock.now();
  }

  /**
   * Moves the end of a lease later; returns when it ends. Throws as `find` does, BAD_ARGUMENT for a lease without an end, and
   * SHUTTING_DOWN.
   */
  extend(leaseId: string, byMs: number): number {
    const { lease } = this.#live(leaseId);
    if (lease.suspension?.timeLeftMs !== undefined && lease.endsAt === undefined) {
      const why = "is suspended, and its duration stands still: it can be extended when it goes on";
      throw new SluiceError("BAD_ARGUMENT", `The lease [${leaseId}] ${why}.`);
    }
    if (lease.endsAt === undefined) throw new SluiceError("BAD_ARGUMENT", `The lease [${leaseId}] has no end to move.`);
    this.#apply({ kind: "extended", id: leaseId, byMs });
    const endsAt = findLease(this.#pool, leaseId)?.endsAt ?? lease.endsAt;
    if (endsAt > lease.endsAt) return endsAt;
    throw new SluiceError("SHUTTING_DOWN", "The server is stopping, and its leases end with it.");
  }

  /** What a tenant may have from now on, and its weight in the fair share. */
  setTenant(tenant: string, terms: TenantTerms): void {
    this.#apply({ kind: "tenantSet", tenant, ...terms });
  }

  tenants(): TenantListing[] {
    return listTenants(this.#pool);
  }

  leases(): Lease[] {
    return listLeases(this.#pool);
  }

  /** Address of the attached client; empty when none is. */
  clientAddress(leaseId: string): string {
    return this.#records.get(leaseId)?.clientAddress ?? "";
  }

  /** What a lease has used until now. */
  usageOf(lease: Lease): LeaseUsage {
    const heldMs = Math.max(0, this.#options.clock.now() - lease.grantedAt);
    return { ...(this.#records.get(lease.id)?.usage ?? noUsage), heldMs };
  }

  /** What a lease does now. */
  activityOf(leaseId: string): LeaseRates {
    const { clock } = this.#options;
    return (this.#records.get(leaseId)?.activity ?? new LeaseActivity(noUsage)).rates(clock.now());
  }

  /** What a lease did in the last minutes. Throws as `find` does. */
  pastOf(leaseId: string): LeaseMoment[] {
    return this.#live(leaseId).record.activity.past(this.#options.clock.now());
  }

  /** Changes whenever anything changes that a listing shows, but for what time alone brings. */
  get revision(): number {
    return this.#revision;
  }

  active(leaseId: string, isBusy: boolean): void {
    const record = this.#records.get(leaseId);
    // The pool has no clock for a lease that may be idle.
    if (record === undefined || findLease(this.#pool, leaseId)?.idleMs === undefined) return;
    if (record.notice?.kind === "idle") record.notice = undefined;
    this.#apply({ kind: "active", id: leaseId, isBusy });
  }

  used(leaseId: string, usage: ExecutorUsage, shape?: CallShape): void {
    const record = this.#records.get(leaseId);
    if (record === undefined) return;
    const tenant = findLease(this.#pool, leaseId)?.tenant;
    if (tenant !== undefined) this.#options.observer?.used(tenant, { before: record.usage, usage, shape });
    record.usage = usage;
    record.activity.note(usage, this.#options.clock.now());
    this.#revision++;
    this.#options.store.saveUsage(leaseId, usage);
  }

  find(leaseId: string): SessionLease {
    const { lease, record } = this.#live(leaseId);
    const { turnFileOf } = this.#options;
    const slices = lease.slices.map(({ index, deviceId, bytes, compute = 0 }) => ({
      description: this.devices.describe(deviceId),
      arenaBytes: bytes,
      arenaBase: ARENA_BASE + index * ARENA_STRIDE_BYTES,
      compute,
      ...(turnFileOf === undefined ? {} : { turnFile: turnFileOf(deviceId) }),
    }));
    const isParked = lease.state === "suspending" || lease.state === "suspended";
    return { id: leaseId, tenant: lease.tenant, key: record.secret, slices, usage: record.usage, isParked };
  }

  attached(leaseId: string, clientAddress: string, how: Attachment): void {
    const record = this.#records.get(leaseId);
    if (record !== undefined) record.clientAddress = clientAddress;
    const tenant = findLease(this.#pool, leaseId)?.tenant;
    if (tenant !== undefined && how !== "found") this.#options.observer?.connected(tenant, how === "resumed");
    this.#apply({ kind: "attached", id: leaseId });
  }

  detached(leaseId: string): void {
    const record = this.#records.get(leaseId);
    if (record !== undefined) record.clientAddress = "";
    this.#apply({ kind: "detached", id: leaseId });
  }

  failed(leaseId: string, code: ErrorCode, message: string): void {
    this.#apply({ kind: "failed", id: leaseId, code, message });
  }

  /** Grants no more, gives running leases `graceMs` to end, then ends them; resolves when the pool is empty. May be called again. */
  async shutDown(graceMs: number): Promise<void> {
    const empty = new Promise<void>((resolve) => {
      const before = this.#onEmpty;
      this.#onEmpty = () => {
        before?.();
        resolve();
      };
    });
    this.#apply({ kind: "shutdown", graceMs });
    await empty;
  }

  /** Stops its timers: nothing happens by itself any more. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelForgetting?.();
    this.#waiting.close();
  }

  #withDefaults(wish: Wish): Wish {
    const policy = wish.policy ?? this.#options.policy;
    return policy === undefined ? wish : { ...wish, policy };
  }

  /** A lease that may be worked under; throws LEASE_NOT_FOUND, or why it has ended or is ending. */
  #live(leaseId: string): { lease: Lease; record: LeaseRecord } {
    const record = this.#records.get(leaseId);
    const lease = findLease(this.#pool, leaseId);
    if (record !== undefined && lease !== undefined) {
      if (lease.state !== "ending") return { lease, record };
      throw new SluiceError(endErrorCode(lease.endCode ?? "RELEASED"), lease.endMessage ?? "The lease ends.", {
        leaseId,
      });
    }
    const ended = this.#ended.get(leaseId);
    throw ended === undefined ? notFound(leaseId) : new SluiceError(ended.code, ended.message, { leaseId });
  }

  #proven(leaseId: string, secret: Uint8Array): { lease: Lease; record: LeaseRecord } {
    const live = this.#live(leaseId);
    if (!live.record.secret.matches(secret)) throw wrongSecret(leaseId);
    return live;
  }

  /** Lets an event happen, and all that follows from it. Effects may bring new events: they come after. */
  #apply(event: PoolEvent): void {
    this.#events.push(event);
    this.#revision++;
    if (this.#applying) return;
    this.#applying = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const effect of decide(this.#pool, next, this.#options.clock.now())) this.#carryOut(effect);
      }
    } finally {
      this.#applying = false;
    }
    this.#setTimer();
    this.#waiting.tellChanges();
    this.devices.tellDrains();
    if (this.#records.size === 0) this.#onEmpty?.();
  }

  #setTimer(): void {
    this.#cancelTimer?.();
    const deadline = nextDeadline(this.#pool);
    const { clock } = this.#options;
    this.#cancelTimer =
      deadline === undefined || this.#closed
        ? undefined
        : clock.schedule(deadline - clock.now(), () => {
            this.#apply({ kind: "tick" });
          });
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "granted":
        this.#grant(effect);
        return;
      case "queued":
        this.#waiting.queued(effect.id, queuePlace(this.#pool, effect.id) ?? effect);
        return;
      case "refused":
        this.#options.observer?.refused(effect.code);
        this.#waiting.refuse(effect.id, new SluiceError(effect.code, effect.message, { reasons: effect.reasons }));
        return;
      case "notice":
        this.#notify(effect);
        return;
      case "end":
        this.#end(effect);
        return;
      case "closed":
        this.#close(effect.lease);
        return;
      case "deviceGone":
        this.#options.log.info({ device: effect.deviceId }, "The device has left the pool");
        return;
      case "resize":
      case "resizeRefused":
        this.#resizes.carryOut(effect);
        return;
      case "suspend":
      case "suspendRefused":
      case "resume":
        this.suspensions.carryOut(effect);
        return;
      case "reserved":
      case "reserveRefused":
      case "reservationEnded":
        this.reservations.carryOut(effect);
        return;
      case "deviceEmpty":
        this.#options.log.info({ device: effect.deviceId }, "The device is drained");
        return;
    }
  }

  /** Stores a grant and tells the client; the pool learns what became of it. Of several leases all are granted, or none. */
  #grant({ lease, others = [], warnings }: Extract<Effect, { kind: "granted" }>): void {
    const { store, log, randomBytes } = this.#options;
    const [first, ...more] = [lease, ...others].map((one) => ({ lease: one, secret: randomBytes(SECRET_BYTES) }));
    const grants = [first!, ...more];
    try {
      const requestId = this.#waiting.requestId(lease.id);
      store.atomically(() => {
        for (const { lease: one, secret } of grants)
          store.saveLease(toStored(one), { secret, secretHash: hashOfSecret(secret), requestId });
      });
    } catch (error) {
      const { message } = toSluiceError(error);
      log.error({ lease: lease.id, error: message }, "The grant cannot be stored");
      for (const one of grants) this.#apply({ kind: "grantFailed", id: one.lease.id });
      const told = new SluiceError("STORE_FAILED", `The server cannot store the grant [${message}].`);
      this.#waiting.refuse(lease.id, told);
      return;
    }
    for (const one of grants) this.#records.set(one.lease.id, newRecord(new LeaseSecret(one.secret)));
    const isNotHeld = this.#options.holdsCompute === false && lease.slices.some(({ compute = 0 }) => compute > 0);
    const all = [...warnings, ...(isNotHeld ? [COMPUTE_NOT_HELD] : [])];
    const told = this.#waiting.grant(lease.id, { ...first!, others: more, warnings: all });
    // A client that went away meanwhile never had the lease: no executor was started either.
    for (const one of grants) this.#settleGrant(one.lease, told);
  }

  #settleGrant(lease: Lease, told: boolean): void {
    const { store, log, observer } = this.#options;
    this.#apply({ kind: told ? "grantConfirmed" : "grantFailed", id: lease.id });
    if (!told) {
      this.#records.delete(lease.id);
      this.#waiting.leaseIsOver(lease.id);
      store.closeLease(lease, { ...noUsage, heldMs: 0 });
      return;
    }
    observer?.granted(lease);
    log.info({ lease: lease.id, slices: lease.slices.map(({ deviceId }) => deviceId) }, "The lease is granted");
  }

  #notify(effect: Extract<Effect, { kind: "notice" }>): void {
    const record = this.#records.get(effect.id);
    if (record === undefined) return;
    if (effect.notice === "suspended" || effect.notice === "resumed") {
      this.#notifySuspension(record, effect);
      return;
    }
    record.notice = { kind: effect.notice, message: effect.message, deadlineAtMs: effect.deadline };
    const lease = movesEnd.has(effect.notice) ? findLease(this.#pool, effect.id) : undefined;
    if (lease !== undefined) this.#options.store.saveEnd(lease);
    for (const holder of record.holders) holder.notice(record.notice);
  }

  #notifySuspension(record: LeaseRecord, { id, notice, message }: Extract<Effect, { kind: "notice" }>): void {
    const told = { kind: notice, message, deadlineAtMs: 0 } as const;
    record.suspension = notice === "suspended" ? told : undefined;
    const lease = findLease(this.#pool, id);
    if (notice === "resumed" && lease !== undefined) this.suspensions.forget(lease);
    for (const holder of record.holders) holder.notice(told);
  }

  #notifyLeasesOn(deviceId: string, notice: LeaseNotice): void {
    for (const { id, slices } of listLeases(this.#pool)) {
      const record = slices.some((slice) => slice.deviceId === deviceId) ? this.#records.get(id) : undefined;
      if (record === undefined) continue;
      // A notice with a deadline is the more urgent one for holders that come later.
      record.notice ??= notice;
      for (const holder of record.holders) holder.notice(notice);
    }
  }

  #end({ id, code, message }: Extract<Effect, { kind: "end" }>): void {
    const errorCode = endErrorCode(code);
    const record = this.#records.get(id);
    this.#options.log.info({ lease: id, code }, "The lease ends");
    for (const holder of record?.holders ?? []) holder.ended(new SluiceError(errorCode, message, { leaseId: id }));
    record?.holders.clear();
    this.suspensions.ended(id, errorCode, message);
    const reclaimed = (): void => this.#apply({ kind: "reclaimed", id });
    this.#options.endSessions(id, errorCode, message).then(reclaimed, (error: unknown) => {
      // Memory whose executor may live is not lent again: better less than twice.
      this.#options.log.error({ lease: id, error: toSluiceError(error).message }, "The executor cannot be ended");
    });
  }

  #close(lease: Lease): void {
    const usage = this.usageOf(lease);
    const record = this.#records.get(lease.id);
    if (record === undefined) return;
    this.#records.delete(lease.id);
    this.#waiting.leaseIsOver(lease.id);
    this.#resizes.forget(lease.id);
    const { endCode = "RELEASED", endMessage = "The lease has ended." } = lease;
    this.#ended.add(lease.id, {
      tenant: lease.tenant,
      secret: record.secret,
      code: endErrorCode(endCode),
      message: endMessage,
      usage,
    });
    this.#options.store.closeLease(lease, usage);
    this.#options.observer?.ended(lease, usage.heldMs);
    for (const tell of record.onClosed) tell(usage);
  }
}

/** Notices of an end that a restart must not forget; that of a shutdown is over with it. */
const movesEnd: ReadonlySet<NoticeKind> = new Set(["revoked", "preempted", "extended"]);
