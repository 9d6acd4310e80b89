/** What was lent, used and waited for over the last hour, day or week. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, call } from "../api.ts";
import { colours } from "../colours.ts";
import { percent, size } from "../format.ts";
import type { LiveState } from "../live/live.ts";
import { Chart, type Series } from "../parts/chart.tsx";
import { Empty, Title } from "../parts/small.tsx";
import { type Past, withGaps } from "../past.ts";

const spans = {
  hour: { wire: "HISTORY_SPAN_HOUR", title: "Hour" },
  day: { wire: "HISTORY_SPAN_DAY", title: "Day" },
  week: { wire: "HISTORY_SPAN_WEEK", title: "Week" },
} as const;
type SpanName = keyof typeof spans;

const ASK_MS = 10_000;
/** Tenants drawn one by one; the rest is one more. */
const TENANTS_SHOWN = 11;

function usePast(span: SpanName, tenant: string): Past | ApiError | undefined {
  const [past, setPast] = useState<Past | ApiError | undefined>(undefined);
  useEffect(() => {
    let isGone = false;
    const ask = (): void => {
      call("PoolService/GetHistory", { span: spans[span].wire, tenant }).then(
        (answer) => !isGone && setPast(withGaps(answer)),
        // What is drawn stays; the connection's state is said above.
        (error: ApiError) => !isGone && setPast((before) => (before === undefined ? error : before)),
      );
    };
    ask();
    const timer = setInterval(ask, ASK_MS);
    return () => {
      isGone = true;
      clearInterval(timer);
    };
  }, [span, tenant]);
  return past;
}

export function HistoryPage({ state }: { readonly state: LiveState }) {
  const [span, setSpan] = useState<SpanName>("hour");
  const [tenant, setTenant] = useState("");
  const past = usePast(span, tenant);
  const tenants = [...state.model.tenants.keys()];
  const query = new URLSearchParams({ span, tenant, devices: tenant === "" ? "1" : "0" });
  return (
    <>
      <Title
        aside={
          <div class="tools">
            <SpanChoice span={span} onChange={setSpan} />
            {tenants.length > 0 && (
              <select
                class="select"
                aria-label="Whose history"
                value={tenant}
                onChange={(event) => setTenant(event.currentTarget.value)}
              >
                <option value="">All tenants</option>
                {tenants.map((name) => (
                  <option key={name} value={name}>
                    {name}
                  </option>
                ))}
              </select>
            )}
            <a class="button" href={`/api/history.csv?${query}`} download>
              CSV
            </a>
          </div>
        }
      >
        History
      </Title>
      {past instanceof ApiError && <p class="problem">{past.message}</p>}
      {past !== undefined && !(past instanceof ApiError) && <Charts past={past} tenant={tenant} />}
    </>
  );
}

function SpanChoice({ span, onChange }: { readonly span: SpanName; readonly onChange: (span: SpanName) => void }) {
  return (
    <fieldset class="segments">
      <legend class="hidden">How far back</legend>
      {(Object.keys(spans) as SpanName[]).map((name) => (
        <button key={name} type="button" aria-pressed={span === name} onClick={() => onChange(name)}>
          {spans[name].title}
        </button>
      ))}
    </fieldset>
  );
}

const milliseconds = (value: number): string =>
  value >= 1_000 ? `${+(value / 1_000).toPrecision(3)} s` : `${+value.toPrecision(3)} ms`;
const whole = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));

function Charts({ past, tenant }: { readonly past: Past; readonly tenant: string }) {
  if (past.atMs.length < 2) {
    return (
      <Empty title="There is no history yet">
        <p>The server takes a sample every ten seconds. The first lines appear in a moment.</p>
      </Empty>
    );
  }
  const line = (kind: string, name: string, colour?: string): Series[] => {
    const found = past.series.find((series) => series.kind === kind);
    return found === undefined ? [] : [{ name, values: found.values, ...(colour === undefined ? {} : { colour }) }];
  };
  const common = { times: past.atMs };
  return (
    <div class="charts">
      <Chart
        {...common}
        title="Memory lent, by tenant"
        series={heldByTenant(past)}
        format={size}
        isStacked
        steps="binary"
      />
      {tenant === "" && (
        <Chart
          {...common}
          title="Memory"
          series={[
            ...line("pool.memory", "Of all devices", "series-quiet"),
            ...line("pool.used", "In use", "series-second"),
            ...line("pool.allocated", "Lent, with overhead"),
          ]}
          format={size}
          steps="binary"
        />
      )}
      {tenant === "" && (
        <Chart
          {...common}
          title="Compute in use"
          series={line("pool.load", "Mean of all devices")}
          format={percent}
          top={1}
        />
      )}
      <Chart
        {...common}
        title="Waiting requests"
        series={tenant === "" ? line("queue.length", "In the queue") : line("tenant.waiting", "Of the tenant")}
        format={whole}
        steps="whole"
      />
      <Chart
        {...common}
        title="Wait for an allocation"
        series={[...line("wait.max", "Longest", "series-quiet"), ...line("wait.mean", "Mean")]}
        format={milliseconds}
        isSparse
      />
      <Chart
        {...common}
        title="Answered calls, in the server"
        series={[...line("answer.p95", "95 %", "series-quiet"), ...line("answer.p50", "50 %")]}
        format={milliseconds}
        isSparse
      />
    </div>
  );
}

/** The largest holders one by one, in one order over time, and the rest together. */
function heldByTenant({ series, atMs }: Past): Series[] {
  const held = series.filter(({ kind }) => kind === "tenant.held");
  const total = (values: readonly (number | null)[]): number =>
    values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const sorted = [...held].sort((a, b) => total(b.values) - total(a.values));
  const shown = sorted.slice(0, TENANTS_SHOWN).filter(({ subject }) => subject !== "");
  const rest = held.filter((each) => !shown.includes(each));
  const others = atMs.map((_, index) => total(rest.map(({ values }) => values[index] ?? null)));
  return [
    ...shown.map(({ subject, values }) => ({ name: subject, values, colour: colours.classOf(subject) })),
    ...(rest.length > 0 ? [{ name: "others", values: others, colour: "series-quiet" }] : []),
  ];
}
