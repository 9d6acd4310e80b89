/** The audit log: who did what, when, from where, and how it ended. */
import { useEffect, useState } from "preact/hooks";
import type { Event__Output as AuditEvent } from "../../../proto/generated/sluice/v1/Event.ts";
import { type ApiError, call } from "../api.ts";
import { moment } from "../format.ts";
import { Empty, Filter, matches, TenantName, Title } from "../parts/small.tsx";
import { type Column, Table } from "../parts/table.tsx";

/** New events are asked for so often. */
const ASK_MS = 3_000;
const PAGE = 100;

/** Those before an event, the newest first; 0: the newest of all. */
export const listEvents = (beforeId: number) => call("AdminService/ListEvents", { beforeId, limit: PAGE });

const columns: Column<AuditEvent>[] = [
  { name: "When", isHead: true, cell: ({ atMs }) => moment(atMs), order: ({ atMs }) => atMs },
  {
    name: "Who",
    cell: ({ tenant, tokenId }) =>
      tenant === "" ? <span class="quiet">{tokenId || "nobody known"}</span> : <TenantName tenant={tenant} />,
    order: ({ tenant }) => tenant,
  },
  { name: "What", cell: ({ action }) => action, order: ({ action }) => action },
  { name: "Request", cell: ({ details }) => <Details text={details} /> },
  { name: "From", cell: ({ address }) => address || "the server", order: ({ address }) => address },
  {
    name: "Outcome",
    cell: ({ outcome, message }) => (
      <span class={`outcome ${outcome === "OK" ? "" : "outcome-bad"}`} title={message}>
        {outcome || "under way"}
      </span>
    ),
    order: ({ outcome }) => outcome,
  },
];

/** The request's fields that say something, as `deviceId null:0, message Maintenance`. */
function Details({ text }: { readonly text: string }) {
  const fields = fieldsOf(text);
  if (fields === undefined) return <code class="details">{text}</code>;
  return (
    <span class="details" title={fields.map((field) => field.join(" ")).join(", ")}>
      {fields.map(([name, value]) => (
        <span key={name}>
          <span class="quiet">{name}</span> {value}{" "}
        </span>
      ))}
    </span>
  );
}

function fieldsOf(text: string): [string, string][] | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null) return undefined;
    return Object.entries(parsed)
      .filter(([, value]) => value !== "" && value !== 0 && value !== null && !String(value).endsWith("_UNSPECIFIED"))
      .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
  } catch {
    return undefined; // A long request is cut in the log.
  }
}

export function EventsPage() {
  const [filter, setFilter] = useState("");
  const [events, setEvents] = useState<readonly AuditEvent[]>([]);
  const [hasMore, setMore] = useState(false);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const add = (found: readonly AuditEvent[]): void =>
    setEvents((before) => {
      const all = new Map([...before, ...found].map((event) => [event.id, event]));
      return [...all.values()].sort((a, b) => b.id - a.id);
    });
  useEffect(() => {
    let isFirst = true;
    const ask = (): void => {
      listEvents(0).then(
        ({ events: found }) => {
          add(found);
          if (isFirst) setMore(found.length === PAGE);
          isFirst = false;
          setError(undefined);
        },
        (cause: ApiError) => setError(cause),
      );
    };
    ask();
    const timer = setInterval(ask, ASK_MS);
    return () => clearInterval(timer);
  }, []);
  const older = (): void => {
    listEvents(events.at(-1)?.id ?? 0).then(
      ({ events: found }) => {
        add(found);
        setMore(found.length === PAGE);
      },
      (cause: ApiError) => setError(cause),
    );
  };
  const shown = events.filter(({ tenant, tokenId, address, action, details, outcome }) =>
    matches(filter, [tenant, tokenId, address, action, details, outcome]),
  );
  return (
    <>
      <Title
        aside={
          <div class="tools">
            <Filter
              value={filter}
              onChange={setFilter}
              label="Filter events by who, what, request, address or outcome"
            />
          </div>
        }
      >
        Events
      </Title>
      {error !== undefined && <p class="problem">{error.message}</p>}
      {events.length === 0 ? (
        <Empty title="Nothing has been changed yet">
          <p>Every change that an admin makes is written down here before it happens.</p>
        </Empty>
      ) : (
        <Table
          name="Events"
          columns={columns}
          rows={shown}
          keyOf={({ id }) => String(id)}
          none="No event matches the filter."
        />
      )}
      {hasMore && (
        <p class="after">
          <button type="button" class="button" onClick={older}>
            Older events
          </button>
        </p>
      )}
    </>
  );
}
