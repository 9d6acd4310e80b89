/** One lease: what it is, what it did in the last minutes, what it used in all, and what was done to it. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Event__Output as AuditEvent } from "../../../proto/generated/sluice/v1/Event.ts";
import { call } from "../api.ts";
import { byteRate, count, duration, moment, percent, rate, size } from "../format.ts";
import { type LiveState, useNow } from "../live/live.ts";
import { type Lease, type Moment, momentOf, withPauses } from "../live/pool-model.ts";
import { Chart } from "../parts/chart.tsx";
import { LeaseActions } from "../parts/lease-actions.tsx";
import { Empty, TenantName, Title } from "../parts/small.tsx";
import { linkTo } from "../route.ts";
import { listEvents } from "./events.tsx";
import { bytesOf, lastCall, stateWords } from "./leases.tsx";

export function LeasePage({ state, id }: { readonly state: LiveState; readonly id: string }) {
  const now = useNow();
  const lease = state.model.leases.get(id);
  const past = usePast(id, state.model.pasts.get(id) ?? []);
  if (lease === undefined) {
    return (
      <>
        <Title>Lease</Title>
        <Empty title="This lease has ended">
          <p>
            There is no lease <code>{id}</code> now. <a href={linkTo("leases")}>All leases</a>
          </p>
        </Empty>
      </>
    );
  }
  return (
    <>
      <p class="trail">
        <a href={linkTo("leases")}>Leases</a>
      </p>
      <Title
        aside={
          state.session?.role === "admin" && (
            <LeaseActions lease={lease} isDisabled={state.connection.state === "lost"} />
          )
        }
      >
        {lease.name || lease.id}
      </Title>
      <LeaseFacts lease={lease} now={now} />
      <Charts past={past} />
      <h2>Slices</h2>
      <ul class="slices">
        {lease.slices.map(({ index, deviceId, memoryBytes, overheadBytes }) => (
          <li key={index}>
            <b>{deviceId}</b> {size(memoryBytes)}
            {overheadBytes > 0 && <span class="quiet"> and {size(overheadBytes)} overhead</span>}
          </li>
        ))}
      </ul>
      {state.session?.role !== "tenant" && <LeaseEvents id={id} />}
    </>
  );
}

/** What the server remembers of the lease, and from then on what the page has seen. */
function usePast(id: string, seen: readonly Moment[]): readonly Moment[] {
  const [told, setTold] = useState<readonly Moment[]>([]);
  useEffect(() => {
    let isGone = false;
    call("PoolService/GetLeaseHistory", { leaseId: id }).then(
      ({ moments }) => {
        if (!isGone) setTold(moments.map(({ atMs, activity }) => momentOf(atMs, activity)));
      },
      () => undefined, // A lease of others, or one that has just ended: what is seen is all there is.
    );
    return () => {
      isGone = true;
    };
  }, [id]);
  const first = seen[0]?.atMs ?? Number.POSITIVE_INFINITY;
  return useMemo(() => withPauses([...told.filter(({ atMs }) => atMs < first), ...seen]), [told, seen, first]);
}

/** What was done to the lease, from the audit log. */
function LeaseEvents({ id }: { readonly id: string }) {
  const [events, setEvents] = useState<readonly AuditEvent[]>([]);
  useEffect(() => {
    listEvents(0).then(
      ({ events: found }) => setEvents(found.filter(({ details }) => details.includes(id))),
      () => undefined, // The events' own page says what is wrong.
    );
  }, [id]);
  if (events.length === 0) return null;
  return (
    <>
      <h2>What was done to it</h2>
      <ul class="slices">
        {events.map(({ id: number, atMs, action, tenant, outcome }) => (
          <li key={number}>
            {moment(atMs)} <b>{action}</b> by {tenant || "the server"}
            {outcome !== "OK" && <span class="outcome-bad"> {outcome}</span>}
          </li>
        ))}
      </ul>
    </>
  );
}

function suspensionFacts({ suspension }: Lease, now: number): [string, preact.ComponentChildren][] {
  if (suspension === null) return [];
  const { message, sinceAtMs, savedBytes, keptBytes, comesBack } = suspension;
  return [
    ["Suspended for", duration(now - sinceAtMs)],
    ["Because", message],
    ["Goes on", comesBack ? "when its devices have room" : "when somebody resumes it"],
    ["Saved on the server", size(savedBytes)],
    ...(keptBytes === 0 ? [] : [["Kept for its modules", size(keptBytes)] satisfies [string, string]]),
  ];
}

function LeaseFacts({ lease, now }: { readonly lease: Lease; readonly now: number }) {
  const { usage, activity } = lease;
  const promised = lease.slices.reduce((sum, { compute }) => sum + compute, 0);
  const facts: [string, preact.ComponentChildren][] = [
    ["Tenant", <TenantName key="tenant" tenant={lease.tenant} />],
    ["State", stateWords[lease.state] ?? ""],
    ...suspensionFacts(lease, now),
    ["Memory", size(bytesOf(lease))],
    ...(promised === 0 ? [] : [["Compute promised", percent(promised)] satisfies [string, string]]),
    ["Held for", duration(now - lease.grantedAtMs)],
    ["Since", moment(lease.grantedAtMs)],
    ["Ends", lease.endsAtMs === 0 ? "when its holder ends it" : moment(lease.endsAtMs)],
    ["Last call", lastCall(lease, now)],
    ["Client", lease.clientAddress || "none attached"],
    ["Priority", String(lease.priority)],
    ["Calls", count(usage?.calls ?? 0)],
    ["Round trips", count(usage?.answers ?? 0)],
    ["Calls per batch", (usage?.batches ?? 0) > 0 ? ((usage?.calls ?? 0) / (usage?.batches ?? 1)).toFixed(1) : "–"],
    ["Received", size(usage?.bytesReceived ?? 0)],
    ["Sent", size(usage?.bytesSent ?? 0)],
    ["Device time", duration(usage?.deviceMs ?? 0)],
    ["Now", `${rate(activity?.callsPerSecond ?? 0)} calls/s, ${rate(activity?.answersPerSecond ?? 0)} round trips/s`],
    ["Id", <code key="id">{lease.id}</code>],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Charts({ past }: { readonly past: readonly Moment[] }) {
  const times = past.map(({ atMs }) => atMs);
  const series = (of: (each: Moment) => number): number[] => past.map(of);
  return (
    <section class="charts" aria-label="The last ten minutes">
      <Chart
        title="Calls per second"
        times={times}
        series={[{ name: "Calls", values: series(({ callsPerSecond }) => callsPerSecond) }]}
        format={(value) => (value === 0 ? "0" : rate(value))}
      />
      <Chart
        title="Traffic"
        times={times}
        series={[{ name: "Bytes", values: series(({ bytesPerSecond }) => bytesPerSecond) }]}
        format={(value) => (value === 0 ? "0" : byteRate(value))}
        steps="binary"
      />
      <Chart
        title="Device time per second"
        times={times}
        series={[{ name: "Device", values: series(({ deviceLoad }) => deviceLoad) }]}
        format={(value) => `${Math.round(value * 1_000)} ms`}
      />
    </section>
  );
}
