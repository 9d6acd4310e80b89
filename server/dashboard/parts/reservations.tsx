/** Fixed slices that are held for tenants, whether or not they use them: who has which, until when, making them and giving them up. */
import { useCallback, useEffect, useState } from "preact/hooks";
import type { Reservation__Output as Reservation } from "../../../proto/generated/sluice/v1/Reservation.ts";
import type { ReserveRequest } from "../../../proto/generated/sluice/v1/ReserveRequest.ts";
import { parseDuration, parseSize } from "../../../shared/units.ts";
import { call } from "../api.ts";
import { duration, moment, plural, size } from "../format.ts";
import { type LiveState, serverNow } from "../live/live.ts";
import { ActionDialog, Field, textOf } from "./dialog.tsx";
import { Command, TenantName } from "./small.tsx";
import { type Column, Table } from "./table.tsx";

/** They are asked for again so often: leases come and go in them. */
const ASK_MS = 5_000;

const nameOf = ({ id, name }: Reservation): string => name || id;
const usedOf = ({ slices }: Reservation): number => slices.filter(({ leaseId }) => leaseId !== "").length;

/** As `2 × 9.5 GiB of cuda:0`. */
function slicesOf({ slices }: Reservation): string {
  const counts = new Map<string, number>();
  for (const { deviceId, memoryBytes } of slices) {
    const text = `${size(memoryBytes)} of ${deviceId}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => (count === 1 ? text : `${count} × ${text}`)).join(", ") || "none is here";
}

function endOf({ endsAtMs }: Reservation) {
  if (endsAtMs === 0) return "when it is given up";
  return <span title={moment(endsAtMs)}>in {duration(Math.max(0, endsAtMs - serverNow()))}</span>;
}

/** `giveUp` is missing where the reader changes nothing. */
function columnsFor(giveUp: ((reservation: Reservation) => void) | undefined): Column<Reservation>[] {
  const columns: Column<Reservation>[] = [
    { name: "Reservation", isHead: true, cell: (each) => <span class="clip">{nameOf(each)}</span>, order: nameOf },
    { name: "Tenant", cell: ({ tenant }) => <TenantName tenant={tenant} />, order: ({ tenant }) => tenant },
    { name: "Slices", cell: slicesOf, order: ({ slices }) => slices.length },
    {
      name: "In use",
      isNumber: true,
      cell: (each) => `${usedOf(each)} of ${each.slices.length}`,
      order: usedOf,
    },
    { name: "Waiting", isNumber: true, cell: ({ waiting }) => waiting, order: ({ waiting }) => waiting },
    {
      name: "Ends",
      isNumber: true,
      cell: endOf,
      order: ({ endsAtMs }) => endsAtMs || Number.MAX_SAFE_INTEGER,
    },
  ];
  if (giveUp === undefined) return columns;
  return [
    ...columns,
    {
      name: "",
      label: "Actions",
      cell: (each) => (
        <button type="button" class="button" aria-label={`Give ${nameOf(each)} up`} onClick={() => giveUp(each)}>
          Give up …
        </button>
      ),
    },
  ];
}

/** All reservations, and what asks for them anew. */
function useReservations(): readonly [readonly Reservation[], () => void] {
  const [reservations, setReservations] = useState<readonly Reservation[]>([]);
  const ask = useCallback((): void => {
    call("AdminService/ListReservations", {}).then(
      ({ reservations: found }) => setReservations(found),
      () => undefined, // The old ones stay; the connection's state is said above.
    );
  }, []);
  useEffect(() => {
    ask();
    const timer = setInterval(ask, ASK_MS);
    return () => clearInterval(timer);
  }, [ask]);
  return [reservations, ask];
}

export function Reservations({ state }: { readonly state: LiveState }) {
  const [reservations, ask] = useReservations();
  const [asked, setAsked] = useState<"reserve" | Reservation | undefined>(undefined);
  const isAdmin = state.session?.role === "admin";
  const isPossible = [...state.model.devices.values()].some(({ mode }) => mode === "SHARING_MODE_PROFILE");
  const close = (): void => {
    setAsked(undefined);
    ask();
  };
  return (
    <section aria-labelledby="reservations-title">
      <div class="title title-second">
        <h2 id="reservations-title">Reservations</h2>
        {isAdmin && isPossible && (
          <button type="button" class="button" onClick={() => setAsked("reserve")}>
            Reserve …
          </button>
        )}
      </div>
      {reservations.length > 0 && (
        <Table
          name="Reservations"
          columns={columnsFor(isAdmin ? setAsked : undefined)}
          rows={reservations}
          keyOf={({ id }) => id}
          none="There is no reservation."
        />
      )}
      {reservations.length === 0 && <NoneYet isPossible={isPossible} />}
      {asked === "reserve" && <ReserveDialog onClose={close} />}
      {asked !== undefined && asked !== "reserve" && <GiveUpDialog reservation={asked} onClose={close} />}
    </section>
  );
}

function NoneYet({ isPossible }: { readonly isPossible: boolean }) {
  if (isPossible) return <p class="quiet">Nothing is reserved: whoever comes first is served first.</p>;
  return (
    <>
      <p class="quiet">
        Nothing is reserved, and nothing can be: reservations are of devices that are cut into fixed slices.
      </p>
      <Command>sluice serve --device cuda:0,profile=8x10GiB</Command>
    </>
  );
}

function GiveUpDialog({ reservation, onClose }: { readonly reservation: Reservation; readonly onClose: () => void }) {
  const { id, tenant, waiting } = reservation;
  return (
    <ActionDialog
      title={`Give ${nameOf(reservation)} up`}
      action="Give it up"
      isDangerous
      onClose={onClose}
      run={() => call("AdminService/Unreserve", { reservationId: id })}
    >
      <p>
        What is free of {slicesOf(reservation)} is everybody's again, and <b>{tenant}</b> is promised it no more.{" "}
        {usedOf(reservation) > 0 && `${plural(usedOf(reservation), "slice")} in use stay with their leases. `}
        {waiting > 0 && `${plural(waiting, "request")} for it will be refused.`}
      </p>
    </ActionDialog>
  );
}

/** @throws Error with what is wrong with a field */
function requestOf(fields: FormData): ReserveRequest {
  const count = textOf(fields, "count");
  if (!/^\d{1,2}$/.test(count) || Number(count) < 1) throw new Error(`1 to 16 slices are wanted, not [${count}].`);
  const [memory, lifetime] = [textOf(fields, "memory"), textOf(fields, "lifetime")];
  return {
    tenant: textOf(fields, "tenant"),
    request: {
      devices: Number(count),
      mode: "SHARING_MODE_PROFILE",
      sameDeviceAllowed: fields.has("same-device"),
      name: textOf(fields, "name"),
      ...(memory === "" ? {} : { memoryBytes: parseSize(memory) }),
      ...(lifetime === "" ? {} : { durationMaxMs: parseDuration(lifetime) }),
    },
  };
}

function ReserveDialog({ onClose }: { readonly onClose: () => void }) {
  return (
    <ActionDialog
      title="Reserve slices"
      action="Reserve"
      onClose={onClose}
      run={async (fields) => call("AdminService/Reserve", requestOf(fields))}
    >
      <p>
        Slices that are free now are held for the tenant and charged to it, whether or not it uses them, over jobs and
        restarts.
      </p>
      <Field name="tenant" label="Tenant" />
      <div class="field-pairs">
        <Field name="count" label="Slices" value="1" hint="1 to 16." />
        <Field name="memory" label="Size of each" placeholder="10GiB" hint="Empty: any size." />
        <Field name="lifetime" label="For how long" placeholder="7d" hint="Empty: until it is given up." />
        <Field name="name" label="Name" hint="For people." />
      </div>
      <label class="check">
        <input type="checkbox" name="same-device" defaultChecked />
        Several slices may be of one device
      </label>
    </ActionDialog>
  );
}
