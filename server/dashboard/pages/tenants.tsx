/** What every tenant may have and has, and what it used lately. */
import { useEffect, useState } from "preact/hooks";
import type { TenantUsage__Output as TenantUse } from "../../../proto/generated/sluice/v1/TenantUsage.ts";
import { parseDuration, parseSize } from "../../../shared/units.ts";
import { call } from "../api.ts";
import { duration, size, sizeWritten } from "../format.ts";
import { type LiveState, serverNow } from "../live/live.ts";
import type { Tenant } from "../live/pool-model.ts";
import { ActionDialog, Field, textOf } from "../parts/dialog.tsx";
import { Reservations } from "../parts/reservations.tsx";
import { Bytes, Empty, Meter, TenantName, Title } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { Tokens } from "../parts/tokens.tsx";

const DAY_MS = 86_400_000;
const GIB_HOUR = 1024 ** 3 * 3_600_000;
/** The ledger is asked again so often. */
const ASK_MS = 10_000;

const gibHours = (byteMs: number): string => {
  const hours = byteMs / GIB_HOUR;
  return hours.toFixed(hours < 1 ? 3 : 1);
};

/** Use of the last day by tenant. */
function useUse(): ReadonlyMap<string, TenantUse> {
  const [use, setUse] = useState<ReadonlyMap<string, TenantUse>>(new Map());
  useEffect(() => {
    let isGone = false;
    const ask = async (): Promise<void> => {
      const span = { fromAtMs: Math.max(0, Math.floor(serverNow() - DAY_MS)) };
      const answer = await call("AdminService/ListUsage", span).catch(() => undefined); // The old numbers stay; the connection's state is said above.
      if (answer !== undefined && !isGone) setUse(new Map(answer.tenants.map((one) => [one.tenant, one])));
    };
    void ask(); // It never rejects.
    const timer = setInterval(() => void ask(), ASK_MS);
    return () => {
      isGone = true;
      clearInterval(timer);
    };
  }, []);
  return use;
}

/** `3 of 8` with a bar, or the number alone where nothing bounds it. */
function Against(props: {
  readonly has: number;
  readonly may: number | undefined;
  readonly text: (n: number) => string;
}) {
  const { has, may, text } = props;
  if (may === undefined) return <span>{text(has)}</span>;
  return (
    <span class="against">
      <Meter
        part={may === 0 ? 1 : has / may}
        label={`${text(has)} of ${text(may)}`}
        tone={has >= may ? "tone-hot" : ""}
      />
      <span>
        {text(has)} <span class="quiet">of {text(may)}</span>
      </span>
    </span>
  );
}

function columnsFor(
  use: ReadonlyMap<string, TenantUse>,
  edit: ((tenant: Tenant) => void) | undefined,
): Column<Tenant>[] {
  const columns: Column<Tenant>[] = [
    { name: "Tenant", isHead: true, cell: ({ name }) => <TenantName tenant={name} />, order: ({ name }) => name },
    {
      name: "Memory",
      isNumber: true,
      cell: ({ heldBytes, quota }) => <Against has={heldBytes} may={quota?.memoryBytes} text={size} />,
      order: ({ heldBytes }) => heldBytes,
    },
    {
      name: "Slices",
      isNumber: true,
      cell: ({ devices, quota }) => <Against has={devices} may={quota?.devices} text={String} />,
      order: ({ devices }) => devices,
    },
    {
      name: "Leases",
      isNumber: true,
      cell: ({ leases, quota }) => <Against has={leases} may={quota?.leases} text={String} />,
      order: ({ leases }) => leases,
    },
    {
      name: "Waiting",
      isNumber: true,
      cell: ({ waiting, quota }) => <Against has={waiting} may={quota?.requests} text={String} />,
      order: ({ waiting }) => waiting,
    },
    { name: "Weight", isNumber: true, cell: ({ weight }) => weight, order: ({ weight }) => weight },
    {
      name: "GiB hours, last day",
      isNumber: true,
      cell: ({ name }) => gibHours(use.get(name)?.byteMs ?? 0),
      order: ({ name }) => use.get(name)?.byteMs ?? 0,
    },
    {
      name: "Device time, last day",
      isNumber: true,
      cell: ({ name }) => duration(use.get(name)?.deviceMs ?? 0),
      order: ({ name }) => use.get(name)?.deviceMs ?? 0,
    },
  ];
  if (edit === undefined) return columns;
  return [
    ...columns,
    {
      name: "",
      label: "Actions",
      cell: (tenant) => (
        <button type="button" class="button" aria-label={`Quota of ${tenant.name}`} onClick={() => edit(tenant)}>
          Quota …
        </button>
      ),
    },
  ];
}

export function TenantsPage({ state }: { readonly state: LiveState }) {
  const use = useUse();
  const [edited, setEdited] = useState<Partial<Tenant> | undefined>(undefined);
  const isAdmin = state.session?.role === "admin";
  const tenants = [...state.model.tenants.values()];
  const total = tenants.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  return (
    <>
      <Title
        aside={
          <div class="tools">
            {tenants.length > 0 && (
              <span class="quiet">
                <Bytes of={total} /> held in all
              </span>
            )}
            {isAdmin && (
              <button type="button" class="button" onClick={() => setEdited({})}>
                Set a quota …
              </button>
            )}
          </div>
        }
      >
        Tenants
      </Title>
      {tenants.length === 0 ? (
        <Empty title="No tenant has asked for anything yet">
          <p>A tenant appears here with its first request, or with a quota that is set before.</p>
        </Empty>
      ) : (
        <Table
          name="Tenants"
          columns={columnsFor(use, isAdmin ? setEdited : undefined)}
          rows={tenants}
          keyOf={({ name }) => name}
          none="There is no tenant."
        />
      )}
      <Reservations state={state} />
      <Tokens state={state} />
      {edited !== undefined && <QuotaDialog tenant={edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}

function whole(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new Error(`A whole number is wanted, and [${text}] is none.`);
  return Number(text);
}

function QuotaDialog({ tenant, onClose }: { readonly tenant: Partial<Tenant>; readonly onClose: () => void }) {
  const { name, quota, weight = 1 } = tenant;
  const written = (value: number | undefined): string => (value === undefined ? "" : String(value));
  const bound = <Name extends string>(
    fields: FormData,
    name: Name,
    read = whole,
  ): { readonly [N in Name]?: number } => {
    const text = textOf(fields, name);
    return text === "" ? {} : ({ [name]: read(text) } as { readonly [N in Name]: number });
  };
  const run = (fields: FormData): Promise<unknown> => {
    return call("AdminService/SetQuota", {
      tenant: name ?? textOf(fields, "tenant"),
      weight: Number(textOf(fields, "weight") || 1),
      quota: {
        ...bound(fields, "memoryBytes", parseSize),
        ...bound(fields, "durationMs", parseDuration),
        ...bound(fields, "devices"),
        ...bound(fields, "leases"),
        ...bound(fields, "requests"),
        ...bound(fields, "priority"),
      },
    });
  };
  return (
    <ActionDialog
      title={name === undefined ? "Set a quota" : `Quota of ${name}`}
      action="Set the quota"
      onClose={onClose}
      run={async (fields) => run(fields)}
    >
      <p>An empty field is no bound. A quota takes effect at once and takes nothing away.</p>
      {name === undefined && <Field name="tenant" label="Tenant" />}
      <div class="field-pairs">
        <Field name="memoryBytes" label="Memory" value={sizeWritten(quota?.memoryBytes)} placeholder="64GiB" />
        <Field name="devices" label="Slices" value={written(quota?.devices)} />
        <Field name="leases" label="Leases" value={written(quota?.leases)} />
        <Field name="requests" label="Waiting requests" value={written(quota?.requests)} />
        <Field
          name="durationMs"
          label="Longest lease"
          value={quota?.durationMs === undefined ? "" : `${quota.durationMs}ms`}
          placeholder="8h"
        />
        <Field name="priority" label="Highest priority" value={written(quota?.priority)} />
        <Field name="weight" label="Weight in the fair share" value={String(weight)} />
      </div>
    </ActionDialog>
  );
}
