/** Who holds what, since when, and what it does now. */
import { useState } from "preact/hooks";
import { byteRate, duration, plural, rate, size } from "../format.ts";
import { type LiveState, useNow } from "../live/live.ts";
import type { Lease } from "../live/pool-model.ts";
import { LeaseActions } from "../parts/lease-actions.tsx";
import { Bytes, Empty, Filter, LeaseLink, matches, TenantName, Title } from "../parts/small.tsx";
import { Spark } from "../parts/spark.tsx";
import { type Column, Table } from "../parts/table.tsx";

export const stateWords: Readonly<Record<string, string>> = {
  LEASE_STATE_GRANTED: "idle",
  LEASE_STATE_ATTACHED: "attached",
  LEASE_STATE_ENDING: "ending",
  LEASE_STATE_SUSPENDING: "suspending",
  LEASE_STATE_SUSPENDED: "suspended",
  LEASE_STATE_RESUMING: "resuming",
};

/** Whether its memory is saved on the server's host, and lent to others. */
const isParked = ({ state }: Lease): boolean => state === "LEASE_STATE_SUSPENDED";

/** What it has, or gets back when it goes on. */
export const bytesOf = ({ slices }: Lease): number => slices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);

/** `cpu:0`, or how many devices where they are many. */
const placeOf = ({ slices }: Lease): string => {
  const devices = [...new Set(slices.map(({ deviceId }) => deviceId))];
  return devices.length <= 2 ? devices.join(", ") : `${devices[0]} and ${devices.length - 1} more`;
};

const trafficOf = ({ activity }: Lease): number =>
  (activity?.bytesReceivedPerSecond ?? 0) + (activity?.bytesSentPerSecond ?? 0);

function columnsFor(state: LiveState, now: number): Column<Lease>[] {
  const isAdmin = state.session?.role === "admin";
  const isLost = state.connection.state === "lost";
  const activity = (lease: Lease) => lease.activity ?? undefined;
  return [
    { name: "Job", isHead: true, cell: ({ id, name }) => <LeaseLink id={id} name={name} />, order: ({ name }) => name },
    { name: "Tenant", cell: ({ tenant }) => <TenantName tenant={tenant} />, order: ({ tenant }) => tenant },
    { name: "Memory", isNumber: true, cell: (lease) => <Bytes of={bytesOf(lease)} />, order: bytesOf },
    { name: "Device", cell: placeOf, order: placeOf },
    {
      name: "State",
      cell: (lease) => (
        <span class={`state state-${stateWords[lease.state]}`} title={lease.suspension?.message}>
          {stateWords[lease.state]}
        </span>
      ),
      order: (lease) => stateWords[lease.state] ?? "",
    },
    {
      name: "Since",
      isNumber: true,
      cell: (lease) => duration(now - lease.grantedAtMs),
      order: (lease) => -lease.grantedAtMs,
    },
    {
      name: "Calls/s",
      isNumber: true,
      cell: (lease) => (
        <span class="with-spark">
          <Spark values={(state.model.pasts.get(lease.id) ?? []).map(({ callsPerSecond }) => callsPerSecond)} />
          {rate(activity(lease)?.callsPerSecond ?? 0)}
        </span>
      ),
      order: (lease) => activity(lease)?.callsPerSecond ?? 0,
    },
    {
      name: "Trips/s",
      isNumber: true,
      isWide: true,
      title: "Round trips per second: calls that are answered",
      cell: (lease) => rate(activity(lease)?.answersPerSecond ?? 0),
      order: (lease) => activity(lease)?.answersPerSecond ?? 0,
    },
    {
      name: "Traffic",
      isNumber: true,
      title: "Bytes per second both ways",
      cell: (lease) => byteRate(trafficOf(lease)),
      order: trafficOf,
    },
    {
      name: "In",
      isNumber: true,
      isWide: true,
      title: "Bytes per second from the client",
      cell: (lease) => byteRate(activity(lease)?.bytesReceivedPerSecond ?? 0),
      order: (lease) => activity(lease)?.bytesReceivedPerSecond ?? 0,
    },
    {
      name: "Out",
      isNumber: true,
      isWide: true,
      title: "Bytes per second to the client",
      cell: (lease) => byteRate(activity(lease)?.bytesSentPerSecond ?? 0),
      order: (lease) => activity(lease)?.bytesSentPerSecond ?? 0,
    },
    {
      name: "Device time",
      isNumber: true,
      isWide: true,
      cell: (lease) => duration(lease.usage?.deviceMs ?? 0),
      order: (lease) => lease.usage?.deviceMs ?? 0,
    },
    {
      name: "Last call",
      isNumber: true,
      cell: (lease) => lastCall(lease, now),
      order: (lease) => -(activity(lease)?.lastCallAtMs ?? 0),
    },
    {
      name: "Client",
      isWide: true,
      cell: ({ clientAddress }) => clientAddress || "–",
      order: ({ clientAddress }) => clientAddress,
    },
    ...(isAdmin
      ? [
          {
            name: "",
            label: "Actions",
            cell: (lease: Lease) => <LeaseActions lease={lease} isDisabled={isLost} isShort />,
          },
        ]
      : []),
  ];
}

export function lastCall({ activity }: Lease, now: number): string {
  const at = activity?.lastCallAtMs ?? 0;
  if (at === 0) return "never";
  return now - at < 3_000 ? "now" : `${duration(now - at)} ago`;
}

export function LeasesPage({ state }: { readonly state: LiveState }) {
  const now = useNow();
  const [filter, setFilter] = useState("");
  const all = [...state.model.leases.values()];
  const shown = all.filter((lease) =>
    matches(filter, [
      lease.id,
      lease.tenant,
      lease.name,
      lease.clientAddress,
      stateWords[lease.state] ?? "",
      ...lease.slices.map(({ deviceId }) => deviceId),
    ]),
  );
  const bytes = shown.reduce((sum, lease) => sum + (isParked(lease) ? 0 : bytesOf(lease)), 0);
  return (
    <>
      <Title
        aside={
          all.length > 0 && (
            <div class="tools">
              <span class="quiet">
                {plural(shown.length, "lease")}, {size(bytes)}
              </span>
              <Filter
                value={filter}
                onChange={setFilter}
                label="Filter leases by job, tenant, device, state or client"
              />
            </div>
          )
        }
      >
        Leases
      </Title>
      {all.length === 0 ? (
        <Empty title="Nobody holds a share now">
          <p>
            A lease appears here as soon as a job gets its share. <a href="#/pool">The pool</a> says how to borrow one.
          </p>
        </Empty>
      ) : (
        <Table
          name="Leases"
          columns={columnsFor(state, now)}
          rows={shown}
          keyOf={({ id }) => id}
          none="No lease matches the filter."
        />
      )}
    </>
  );
}
