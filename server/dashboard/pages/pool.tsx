/** The pool at a glance: what is lent to whom, what is free, and every device as a bar. */
import { useState } from "preact/hooks";
import { colours } from "../colours.ts";
import { percent, plural, size } from "../format.ts";
import type { LiveState } from "../live/live.ts";
import { DeviceDialog } from "../parts/device-dialog.tsx";
import { DeviceRow } from "../parts/device-row.tsx";
import { Command, Empty, Filter, matches, Title } from "../parts/small.tsx";
import { type DeviceSums, statesOf, sumsOfPool } from "../pool-sums.ts";

/** From this many devices on, bars are thin and groups begin closed. */
const MANY_DEVICES = 40;

export function PoolPage({ state }: { readonly state: LiveState }) {
  const [filter, setFilter] = useState("");
  const [grouping, setGrouping] = useState("");
  const [highlighted, setHighlighted] = useState("");
  const [opened, setOpened] = useState("");
  const { devices, leases } = state.model;
  const all = sumsOfPool(devices.values(), leases.values());
  const shown = all.filter((sums) => matches(filter, textsOf(sums)));
  const usual = all.length > MANY_DEVICES ? usualGrouping(all) : "none";
  const groups = grouped(shown, grouping || usual);
  const current = all.find(({ device }) => device.id === opened);
  return (
    <>
      <Title
        aside={
          all.length > 1 && (
            <div class="tools">
              <GroupingChoice sums={all} value={grouping} onChange={setGrouping} />
              <Filter value={filter} onChange={setFilter} label="Filter devices by name, state, label, tenant or job" />
            </div>
          )
        }
      >
        Pool
      </Title>
      <Totals sums={shown} highlighted={highlighted} onHighlight={setHighlighted} />
      {shown.length === 0 && <Empty title="No device matches the filter" />}
      {groups.map(([name, members]) => (
        <Group key={name} name={name} members={members}>
          <ul class={`devices ${all.length > MANY_DEVICES ? "devices-many" : ""}`}>
            {members.map((sums) => (
              <DeviceRow key={sums.device.id} sums={sums} highlighted={highlighted} onOpen={setOpened} />
            ))}
          </ul>
        </Group>
      ))}
      {leases.size === 0 && <FirstSteps state={state} />}
      {current !== undefined && <DeviceDialog sums={current} state={state} onClose={() => setOpened("")} />}
    </>
  );
}

function textsOf(sums: DeviceSums): string[] {
  const { id, kind, name, labels } = sums.device;
  const holders = sums.slices.flatMap(({ lease }) => [lease.tenant, lease.name, lease.id]);
  return [
    id,
    kind,
    name,
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
    ...statesOf(sums),
    ...holders,
  ];
}

/** Ways to group: by model, by state, and by every label that devices carry. */
function GroupingChoice(props: {
  readonly sums: readonly DeviceSums[];
  readonly value: string;
  readonly onChange: (grouping: string) => void;
}) {
  const labels = [...new Set(props.sums.flatMap(({ device }) => Object.keys(device.labels)))].sort();
  return (
    <select
      class="select"
      aria-label="Group devices"
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    >
      <option value="">Group by …</option>
      <option value="none">no groups</option>
      <option value="model">model</option>
      <option value="state">state</option>
      {labels.map((label) => (
        <option key={label} value={`label:${label}`}>
          {label}
        </option>
      ))}
    </select>
  );
}

/** By server, where devices say theirs in a label; by model otherwise. */
const usualGrouping = (sums: readonly DeviceSums[]): string =>
  sums.some(({ device }) => device.labels["server"] !== undefined) ? "label:server" : "model";

function grouped(sums: readonly DeviceSums[], grouping: string): [string, DeviceSums[]][] {
  const nameOf = (each: DeviceSums): string => {
    if (grouping === "model") return each.device.name;
    if (grouping === "state") return statesOf(each).find((state) => state !== "used") ?? "in use";
    if (grouping.startsWith("label:")) return each.device.labels[grouping.slice(6)] ?? "without it";
    return "";
  };
  const groups = new Map<string, DeviceSums[]>();
  for (const each of sums) {
    const name = nameOf(each);
    groups.set(name, [...(groups.get(name) ?? []), each]);
  }
  return [...groups];
}

function Group(props: {
  readonly name: string;
  readonly members: readonly DeviceSums[];
  readonly children: preact.ComponentChildren;
}) {
  const { name, members, children } = props;
  if (name === "") return <>{children}</>;
  const free = members.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  const memory = members.reduce((sum, { device }) => sum + device.memoryBytes, 0);
  return (
    <details class="group" open>
      <summary>
        <b>{name}</b>
        <span class="quiet">
          {plural(members.length, "device")}, {size(free)} free of {size(memory)}
        </span>
        <span class="bar bar-thin" aria-hidden="true">
          <span class="part part-sum" style={{ width: `${(1 - free / memory) * 100}%` }} />
        </span>
      </summary>
      {children}
    </details>
  );
}

interface TotalsProps {
  readonly sums: readonly DeviceSums[];
  readonly highlighted: string;
  readonly onHighlight: (tenant: string) => void;
}

function Totals({ sums, highlighted, onHighlight }: TotalsProps) {
  const total = (of: (each: DeviceSums) => number): number => sums.reduce((sum, each) => sum + of(each), 0);
  const memory = total(({ device }) => device.memoryBytes);
  const lent = total(({ device }) => device.grantedBytes);
  const stranded = total(({ strandedBytes }) => strandedBytes);
  const reserved = total(({ reservedBytes }) => reservedBytes);
  const overhead = total(({ overheadBytes }) => overheadBytes);
  const load = total((each) => each.load) / Math.max(1, sums.length);
  return (
    <section class="totals" aria-label="Totals">
      <dl class="figures">
        <Figure
          name="Lent"
          value={percent(memory === 0 ? 0 : lent / memory)}
          note={`${size(lent)} of ${size(memory)}`}
        />
        <Figure
          name="Free"
          value={size(total(({ freeBytes }) => freeBytes))}
          note={`on ${plural(sums.length, "device")}`}
        />
        {stranded > 0 && <Figure name="Out of reach" value={size(stranded)} note="cordoned or too small" />}
        {reserved > 0 && <Figure name="Reserved" value={size(reserved)} note="and not in use" />}
        {overhead > 0 && <Figure name="Overhead" value={size(overhead)} note="beside the slices" />}
        <Figure name="Compute" value={percent(load)} note="in use on average" />
      </dl>
      <TenantShares sums={sums} memory={memory} highlighted={highlighted} onHighlight={onHighlight} />
    </section>
  );
}

function Figure({ name, value, note }: { readonly name: string; readonly value: string; readonly note: string }) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>{value}</dd>
      <dd class="quiet">{note}</dd>
    </div>
  );
}

/** Who has how much of all: one bar, and a legend that picks a tenant out. */
function TenantShares({ sums, memory, highlighted, onHighlight }: TotalsProps & { readonly memory: number }) {
  const byTenant = new Map<string, number>();
  for (const { slices } of sums) {
    for (const { lease, bytes } of slices) byTenant.set(lease.tenant, (byTenant.get(lease.tenant) ?? 0) + bytes);
  }
  const shares = [...byTenant].sort((a, b) => b[1] - a[1]);
  if (shares.length === 0) return null;
  const width = (bytes: number) => ({ width: `${(bytes / memory) * 100}%` });
  return (
    <div class="shares">
      <div class="bar bar-total" aria-hidden="true">
        {shares.map(([tenant, bytes]) => (
          <span
            key={tenant}
            class={`part ${colours.classOf(tenant)} ${highlighted !== "" && highlighted !== tenant ? "is-faint" : ""}`}
            style={width(bytes)}
          />
        ))}
      </div>
      <ul class="legend">
        {shares.map(([tenant, bytes]) => (
          <li key={tenant}>
            <button
              type="button"
              class="chip"
              aria-pressed={highlighted === tenant}
              onClick={() => onHighlight(highlighted === tenant ? "" : tenant)}
            >
              <i class={`dot ${colours.classOf(tenant)}`} aria-hidden="true" />
              <span class="clip">{tenant}</span>
              <span class="number">{size(bytes)}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function FirstSteps({ state: { session, model } }: { readonly state: LiveState }) {
  const server = session?.grpcAddress ?? "localhost:7460";
  return (
    <Empty title="Nothing is lent yet">
      <p>
        The pool is ready: {plural(model.devices.size, "device")} wait for their first job. Borrow a share from any
        machine that reaches this server:
      </p>
      <Command>{`export SLUICE_SERVER=${server}\nnpx sluice run -m 512MiB -- node train.js`}</Command>
      <p class="quiet">Whatever the command borrows appears here while it runs, and is free again when it ends.</p>
    </Empty>
  );
}
