/** Who waits for what, in which order, and why. */
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { duration, plural, size } from "../format.ts";
import { type LiveState, useNow } from "../live/live.ts";
import type { QueueEntry } from "../live/pool-model.ts";
import { ActionDialog, Field, textOf } from "../parts/dialog.tsx";
import { Reasons } from "../parts/reasons.tsx";
import { Empty, Filter, matches, TenantName, Title } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";

/** `2 × 4 GiB`, or `a quarter of a device` as `25 % of 2 devices`. */
function wishOf({ devices, memoryBytes, fraction, leaseId }: QueueEntry): string {
  if (leaseId !== "") return `to resume ${devices === 1 ? size(memoryBytes) : `${devices} × ${size(memoryBytes)}`}`;
  const share = memoryBytes > 0 ? size(memoryBytes) : `${Math.round(fraction * 1_000) / 10} %`;
  if (memoryBytes === 0 && fraction === 0) return plural(devices, "whole device");
  return devices === 1 ? share : `${devices} × ${share}`;
}

interface Asked {
  readonly what: "cancel" | "priority";
  readonly entry: QueueEntry;
}

interface Open {
  readonly toggle: (id: string) => void;
  readonly ids: ReadonlySet<string>;
  readonly ask: (asked: Asked) => void;
}

function columnsFor(state: LiveState, { now, open }: { readonly now: number; readonly open: Open }) {
  const isLost = state.connection.state === "lost";
  const nameOf = ({ name, id }: QueueEntry): string => name || id;
  const columns: Column<QueueEntry>[] = [
    { name: "#", isNumber: true, cell: ({ position }) => position, order: ({ position }) => position },
    { name: "Job", isHead: true, cell: (entry) => <span class="clip">{nameOf(entry)}</span>, order: nameOf },
    { name: "Tenant", cell: ({ tenant }) => <TenantName tenant={tenant} />, order: ({ tenant }) => tenant },
    { name: "Wants", isNumber: true, cell: wishOf, order: ({ memoryBytes, devices }) => memoryBytes * devices },
    { name: "Priority", isNumber: true, cell: ({ priority }) => priority, order: ({ priority }) => priority },
    {
      name: "Waits for",
      isNumber: true,
      cell: ({ queuedAtMs }) => duration(now - queuedAtMs),
      order: ({ queuedAtMs }) => -queuedAtMs,
    },
    {
      name: "Gives up in",
      isNumber: true,
      cell: ({ waitEndsAtMs }) => (waitEndsAtMs === 0 ? "–" : duration(waitEndsAtMs - now)),
      order: ({ waitEndsAtMs }) => waitEndsAtMs || Number.POSITIVE_INFINITY,
    },
    {
      name: "Starts within",
      isNumber: true,
      title: "The latest for the first, an estimate for the next; known where all leases in the way end in time",
      cell: ({ startsAtMs }) => (startsAtMs === 0 ? "–" : duration(startsAtMs - now)),
      order: ({ startsAtMs }) => startsAtMs,
    },
    {
      name: "",
      label: "Actions",
      cell: (entry) => (
        <span class="actions">
          <button
            type="button"
            class="button"
            aria-expanded={open.ids.has(entry.id)}
            aria-label={`Why does ${nameOf(entry)} wait?`}
            onClick={() => open.toggle(entry.id)}
          >
            Why?
          </button>
          {state.session?.role === "admin" && entry.leaseId === "" && (
            <>
              <button
                type="button"
                class="button"
                disabled={isLost}
                aria-label={`Priority of ${nameOf(entry)}`}
                onClick={() => open.ask({ what: "priority", entry })}
              >
                Priority …
              </button>
              <button
                type="button"
                class="button"
                disabled={isLost}
                aria-label={`Cancel ${nameOf(entry)}`}
                onClick={() => open.ask({ what: "cancel", entry })}
              >
                Cancel …
              </button>
            </>
          )}
        </span>
      ),
    },
  ];
  return columns;
}

export function QueuePage({ state }: { readonly state: LiveState }) {
  const now = useNow();
  const [filter, setFilter] = useState("");
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const [asked, ask] = useState<Asked | undefined>(undefined);
  const { queue, waiting } = state.model;
  const toggle = (id: string): void => {
    const next = new Set(ids);
    if (!next.delete(id)) next.add(id);
    setIds(next);
  };
  const shown = queue.filter(({ id, name, tenant }) => matches(filter, [id, name, tenant]));
  return (
    <>
      <Title
        aside={
          waiting > 0 && (
            <div class="tools">
              <span class="quiet">
                {plural(waiting, "request")} {waiting === 1 ? "waits" : "wait"}
                {waiting > queue.length && state.session?.role !== "tenant" && `, the first ${queue.length} are shown`}
              </span>
              <Filter value={filter} onChange={setFilter} label="Filter requests by job or tenant" />
            </div>
          )
        }
      >
        Queue
      </Title>
      {queue.length === 0 ? (
        <Empty title="Nobody waits">
          <p>Every request so far was served at once, gave up, or did not ask to wait.</p>
        </Empty>
      ) : (
        <Table
          name="Queue"
          columns={columnsFor(state, { now, open: { toggle, ids, ask } })}
          rows={shown}
          keyOf={({ id }) => id}
          none="No request matches the filter."
          below={({ id }) => (ids.has(id) ? <Reasons id={id} /> : undefined)}
        />
      )}
      {asked !== undefined && <AskDialog asked={asked} onClose={() => ask(undefined)} />}
    </>
  );
}

function AskDialog({ asked: { what, entry }, onClose }: { readonly asked: Asked; readonly onClose: () => void }) {
  const name = entry.name || entry.id;
  if (what === "cancel") {
    return (
      <ActionDialog
        title={`Cancel ${name}`}
        action="Cancel the request"
        isDangerous
        onClose={onClose}
        run={(fields) => call("AdminService/CancelQueued", { id: entry.id, message: textOf(fields, "message") })}
      >
        <p>
          The request of <b>{entry.tenant}</b> leaves the queue, and whoever waits is told why.
        </p>
        <Field name="message" label="Reason, for whoever waits" />
      </ActionDialog>
    );
  }
  return (
    <ActionDialog
      title={`Priority of ${name}`}
      action="Set the priority"
      onClose={onClose}
      run={(fields) => call("AdminService/SetPriority", { id: entry.id, ...priorityOf(textOf(fields, "priority")) })}
    >
      <Field
        name="priority"
        label="Priority"
        value={String(entry.priority)}
        hint="From -100 to 100, or a name such as high. The higher is served first."
      />
    </ActionDialog>
  );
}

const priorityOf = (text: string): { priority: number } | { priorityClass: string } =>
  /^-?\d+$/.test(text) ? { priority: Number(text) } : { priorityClass: text };
