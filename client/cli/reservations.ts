/** `sluice reserve`, `sluice unreserve` and `sluice reservations`: fixed slices that a tenant holds between its leases. */
import type { Command } from "commander";
import type { Reservation__Output as Reservation } from "../../proto/generated/sluice/v1/Reservation.ts";
import { allocateRequest } from "../allocate-options.ts";
import { admin } from "../control.ts";
import { shareText } from "./granted.ts";
import {
  ADMINS_ALONE,
  addJsonOption,
  addServerOption,
  addSlicesOptions,
  type JsonOptions,
  READERS_ALONE,
  readLifetime,
  type ServerOptions,
  type SlicesFlags,
  shareOf,
  withControl,
} from "./options.ts";
import { print, printJson, terminalWidth } from "./output.ts";
import { actOn, itemsOf, serversTable, things, withFleet, withServers } from "./servers.ts";
import { type Column, formatTable } from "./table.ts";

interface ReserveOptions extends ServerOptions, JsonOptions, SlicesFlags {
  readonly for?: number;
}

const columns: readonly Column[] = [
  { title: "RESERVATION" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "NAME", shrinkTo: 6 },
  { title: "SLICES", shrinkTo: 10 },
  { title: "IN USE", align: "right" },
  { title: "WAITING", align: "right" },
  { title: "UNTIL" },
];

export function addReservationCommands(program: Command): void {
  const reserve = program
    .command("reserve")
    .description("hold fixed slices for a tenant, whether or not it uses them (admin)")
    .argument("<tenant>", "whom they are for");
  addSlicesOptions(reserve)
    .option("--for <duration>", "how long, like 7d (default: until they are given up)", readLifetime)
    .option("--name <text>", "a name for people");
  addJsonOption(addServerOption(reserve)).addHelpText(
    "after",
    `
Of devices that are cut into fixed slices (serve --device
cuda:0,profile=8x10GiB). The tenant's requests in the mode profile are served
inside; --reservation of run and request takes slices of one reservation
alone. Outlives jobs and restarts. The memory is charged to the tenant as long
as it is held. Of several servers --server names the one.
${ADMINS_ALONE}

Examples:
  sluice reserve team-a -n 4 --same-device --for 7d --name course
  sluice run --reservation reservation-3f9c2a -- node fit.js`,
  );
  reserve.action(async (tenant: string, options: ReserveOptions) => {
    const life = options.for === undefined ? {} : { durationMax: options.for };
    const request = allocateRequest({ ...shareOf({ ...options, mode: "profile" }), ...life });
    const { reservation } = await withControl(options, (control) => control.ask(admin.Reserve, { tenant, request }));
    if (options.json) printJson({ reservation });
    else if (reservation !== null) print(`Reserved for ${tenant}: ${shareText([reservation])}, as ${reservation.id}.`);
  });

  const unreserve = program
    .command("unreserve")
    .description("give a reservation up; leases in it run on (admin)")
    .argument("<id>", "the reservation");
  addServerOption(unreserve).addHelpText(
    "after",
    `
Requests that wait for it are refused.
${ADMINS_ALONE}

Examples:
  sluice unreserve reservation-3f9c2a`,
  );
  unreserve.action(async (id: string, options: ServerOptions) => {
    const thing = { name: id, kind: things.reservation };
    await actOn(options, thing, (control, reservationId) => control.ask(admin.Unreserve, { reservationId }));
    print(`The reservation ${id} is given up.`);
  });

  const list = program.command("reservations").description("show what is reserved for whom (admin, monitor)");
  addJsonOption(addServerOption(list)).addHelpText(
    "after",
    `
${READERS_ALONE}

Examples:
  sluice reservations
  sluice reservations --json | jq -r '.reservations[].id'`,
  );
  list.action(async (options: ServerOptions & JsonOptions) => {
    await withFleet(options, async (fleet) => {
      const answers = await fleet.each((control) => control.ask(admin.ListReservations, {}));
      const items = itemsOf(answers, ({ reservations }) => reservations);
      if (options.json) printJson({ reservations: withServers(items) });
      else if (items.length === 0) print("No reservations.");
      else print(formatTable(...serversTable(fleet, { columns, items, row }), terminalWidth()));
    });
  });
}

function row(reservation: Reservation): string[] {
  const { id, tenant, name, slices, endsAtMs, waiting } = reservation;
  const used = slices.filter(({ leaseId }) => leaseId !== "").length;
  const until = endsAtMs === 0 ? "given up" : new Date(endsAtMs).toISOString();
  return [
    id,
    tenant,
    name || "-",
    shareText([reservation]) || "-",
    `${used} of ${slices.length}`,
    String(waiting),
    until,
  ];
}
