/** `sluice list`: the devices of the servers, what is lent and what is free. */
import type { Command } from "commander";
import { formatSizeRounded } from "../../shared/units.ts";
import type { DeviceInfo } from "../index.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions } from "./options.ts";
import { countText, print, printJson, sizeText, terminalWidth, unicodeTerminal } from "./output.ts";
import { type Item, itemsOf, serversTable, withFleet, withServers } from "./servers.ts";
import { type Column, formatBar, formatTable } from "./table.ts";

const columns: readonly Column[] = [
  { title: "DEVICE" },
  { title: "NAME", shrinkTo: 8 },
  { title: "MEMORY", align: "right" },
  { title: "FREE", align: "right" },
  { title: "LENT", align: "right" },
  { title: "SLICES", align: "right" },
  { title: "USE" },
];

const BAR_WIDTH = 10;
/** So many devices nobody adds up. */
const TOTAL_FROM = 8;

export function addListCommand(program: Command): void {
  const command = program.command("list").description("show the devices, what is lent and what is free");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
Examples:
  sluice list
  sluice list --server gpus.example:7460 --json`,
  );
  command.action(async (options: ServerOptions & JsonOptions) => {
    await withFleet(options, async (fleet) => {
      const answers = await fleet.each((control) => control.listDevices());
      const items = itemsOf(answers, ({ devices }) => devices);
      if (options.json) {
        const servers = answers.map(({ control: { address }, answer: { serverVersion: version, serverId: id } }) => {
          return { address, version, id };
        });
        printJson({
          ...(fleet.only === undefined ? {} : { server: servers[0] }),
          devices: withServers(items),
          servers,
        });
      } else if (items.length === 0) print("No devices.");
      else {
        const table = formatTable(...serversTable(fleet, { columns, items, row }), terminalWidth());
        const devices = items.map(({ item }) => item);
        const named = fleet.only === undefined ? items.map(withFullId) : devices;
        print([table, ...(devices.length < TOTAL_FROM ? [] : [total(devices)]), ...remarks(named)].join("\n"));
      }
    });
  });
}

/** As it is named among several servers. */
const withFullId = ({ control, item }: Item<DeviceInfo>): DeviceInfo => ({ ...item, id: `${control.name}/${item.id}` });

function total(devices: readonly DeviceInfo[]): string {
  const sum = (part: (device: DeviceInfo) => number): string =>
    formatSizeRounded(devices.reduce((all, device) => all + part(device), 0));
  const [all, free] = [sum(({ memoryBytes }) => memoryBytes), sum(({ freeBytes }) => freeBytes)];
  const slices = devices.reduce((count, device) => count + device.slices, 0);
  return `${countText(devices.length, "device")}, ${all}: ${free} free, ${countText(slices, "slice")} lent.`;
}

/** What is out of the ordinary, as sentences: a column of it would be empty nearly always. */
const remarks = (devices: readonly DeviceInfo[]): string[] =>
  devices.flatMap(({ id, mode, profileBytes, taints, cordon, reservedBytes, draining, ...device }) => [
    ...(mode === "SHARING_MODE_EXCLUSIVE" ? [`${id}: lent as a whole (--mode exclusive).`] : []),
    ...(mode === "SHARING_MODE_PROFILE" ? [`${id}: in slices of ${sizeText(profileBytes)} (--mode profile).`] : []),
    ...(mode === "SHARING_MODE_DYNAMIC" && device.freeCompute < 1
      ? [`${id}: ${percentText(1 - device.freeCompute).trim()} of its time is promised (--compute).`]
      : []),
    ...(reservedBytes > 0 ? [`${id}: ${sizeText(reservedBytes)} reserved and not in use.`] : []),
    ...taints.map((taint) => `${id}: only with --tolerate ${taint}.`),
    ...(device.overheadEstimated
      ? [`${id}: a lease takes ${sizeText(device.overheadPerLeaseBytes)} beside its slice, by estimate.`]
      : []),
    ...(device.health?.throttling.length ? [`${id}: slowed down (${device.health.throttling.join(", ")}).`] : []),
    ...(cordon === null ? [] : [`${id}: closed for new leases (${cordon.code}): ${cordon.message}`]),
    ...(draining ? [`${id}: being drained; its leases have notice.`] : []),
  ]);

function row(device: DeviceInfo): string[] {
  const { memoryBytes, freeBytes, grantedBytes, overheadBytes } = device;
  // Overhead is lent memory that no tenant can use: to whoever asks next it is as gone as the rest.
  const part = memoryBytes === 0 ? 0 : (grantedBytes + overheadBytes) / memoryBytes;
  return [
    device.id,
    device.name,
    sizeText(memoryBytes),
    sizeText(freeBytes),
    sizeText(grantedBytes),
    String(device.slices),
    `${formatBar(part, { width: BAR_WIDTH, unicode: unicodeTerminal() })} ${percentText(part)}`,
  ];
}

const percentText = (part: number): string => {
  const percent = part * 100;
  const rounded =
    percent > 0 && percent < 1 ? "<1" : percent > 99 && percent < 100 ? ">99" : String(Math.round(percent));
  return `${rounded}%`.padStart(4);
};
