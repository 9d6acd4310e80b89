/** `sluice smi`: the servers' devices and leases in the shape of nvidia-smi. */
import type { Command } from "commander";
import { printable } from "../../shared/printable.ts";
import { formatSizeRounded } from "../../shared/units.ts";
import type { DeviceInfo, LeaseInfo } from "../index.ts";
import { VERSION } from "../version.ts";
import { stateText } from "./leases.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions } from "./options.ts";
import { print, printJson } from "./output.ts";
import { deviceState } from "./pool-picture.ts";
import { itemsOf, withFleet, withServers } from "./servers.ts";
import { fitted, widthOf } from "./text-width.ts";

/** Inner widths of the three columns; the whole is 80 columns wide. */
const WIDTHS = [35, 24, 17] as const;
const WIDTH = WIDTHS.reduce((sum, width) => sum + width + 1, 1);

export function addSmiCommand(program: Command): void {
  const command = program.command("smi").description("show devices and leases in the shape of nvidia-smi");
  addJsonOption(addServerOption(command)).addHelpText(
    "after",
    `
Numbers that a device's hardware does not tell are N/A.

Examples:
  sluice smi
  sluice smi --json | jq '.devices[] | [.id, .health.temperatureCelsius]'`,
  );
  command.action((options: ServerOptions & JsonOptions) =>
    withFleet(options, async (fleet) => {
      const answers = await fleet.each(async (control) => {
        const [{ devices, serverVersion }, { leases }] = await Promise.all([
          control.listDevices(),
          control.listLeases(),
        ]);
        return { devices, serverVersion, leases };
      });
      if (options.json) {
        const devices = withServers(itemsOf(answers, (answer) => answer.devices));
        printJson({ devices, leases: withServers(itemsOf(answers, (answer) => answer.leases)) });
        return;
      }
      const pictures = answers.map(({ control, answer: { devices, serverVersion, leases } }) =>
        [...head(control.address, serverVersion, devices), ...table(devices), "", ...leaseTable(leases)].join("\n"),
      );
      print(pictures.join("\n\n"));
    }),
  );
}

type Cells = readonly [string, string, string];

const rule = (fill: string, joint = "+"): string =>
  `${joint}${WIDTHS.map((width) => fill.repeat(width)).join(joint)}${joint}`;
const wide = (text: string): string => `| ${cell(text, WIDTH - 4)} |`;
const line = (cells: Cells): string => `|${cells.map((text, at) => ` ${cell(text, WIDTHS[at]! - 2)} `).join("|")}|`;

const cell = (text: string, width: number): string => fitted(printable(text), { width, ellipsis: "~" });

/** Two texts at the ends of a cell. */
const apart = (left: string, right: string, column: 0 | 1 | 2): string =>
  left + right.padStart(Math.max(right.length + 1, WIDTHS[column] - 2 - widthOf(left)));

function head(server: string, serverVersion: string, devices: readonly DeviceInfo[]): string[] {
  const hardware = devices.find((device) => device.hardware !== null)?.hardware;
  const left = `Sluice ${serverVersion || VERSION}  ${server}`;
  const right = `Driver ${hardware?.driverVersion || "N/A"}  CUDA ${hardware?.cudaVersion || "N/A"}`;
  return [
    `+${"-".repeat(WIDTH - 2)}+`,
    wide(left + right.padStart(Math.max(right.length + 1, WIDTH - 4 - widthOf(left)))),
  ];
}

function table(devices: readonly DeviceInfo[]): string[] {
  const titles = [
    line([apart("Device  Name", "Mode", 0), apart("Bus-Id", "Slices", 1), apart("ECC", "State", 2)]),
    line([apart("Temp  Power", "Capability", 0), apart("Lent+charged", "Memory", 1), apart("Util", "Free", 2)]),
  ];
  const rows = devices.flatMap((device) => [...deviceLines(device), rule("-")]);
  const none = devices.length === 0 ? [wide("No devices."), `+${"-".repeat(WIDTH - 2)}+`] : [];
  return [rule("-"), ...titles, rule("=", "|"), ...rows, ...none];
}

const known = (value: number | undefined, unit: string): string =>
  value === undefined ? "N/A" : `${Math.round(value)}${unit}`;

function deviceLines(device: DeviceInfo): string[] {
  const { health, hardware } = device;
  const used = device.grantedBytes + device.overheadBytes;
  const mode = device.mode.replace("SHARING_MODE_", "").toLowerCase();
  const nameWidth = Math.max(1, WIDTHS[0] - 2 - device.id.length - 2 - 1 - mode.length);
  const utilization = health?.utilization;
  return [
    line([
      apart(`${device.id}  ${cell(device.name, nameWidth).trimEnd()}`, mode, 0),
      apart(hardware?.pciAddress || "N/A", String(device.slices), 1),
      apart(known(health?.uncorrectedErrors, ""), deviceState(device), 2),
    ]),
    line([
      apart(
        `${known(health?.temperatureCelsius, "C")}  ${known(health?.powerWatts, "W")}`,
        device.capability || "N/A",
        0,
      ),
      apart(formatSizeRounded(used), `/ ${formatSizeRounded(device.memoryBytes)}`, 1),
      apart(
        utilization === undefined ? "N/A" : `${Math.round(utilization * 100)}%`,
        formatSizeRounded(device.freeBytes),
        2,
      ),
    ]),
  ];
}

/** A suspended lease has none on its devices. */
const memoryText = (lease: LeaseInfo, bytes: number): string =>
  stateText(lease) === "suspended" ? "suspended" : formatSizeRounded(bytes);

function leaseTable(leases: readonly LeaseInfo[]): string[] {
  const edge = `+${"-".repeat(WIDTH - 2)}+`;
  const columns = (cells: readonly [string, string, string, string, string]): string =>
    wide(
      `${cell(cells[0], 10)} ${cell(cells[1], 22)} ${cell(cells[2], 12)} ${cell(cells[3], 16)} ${cells[4].padStart(12)}`,
    );
  const rows = leases.flatMap((lease) =>
    lease.slices.map((slice) =>
      columns([slice.deviceId, lease.id, lease.tenant, lease.name || "-", memoryText(lease, slice.memoryBytes)]),
    ),
  );
  return [
    edge,
    columns(["Device", "Lease", "Tenant", "Name", "Memory"]),
    `|${"=".repeat(WIDTH - 2)}|`,
    ...(rows.length === 0 ? [wide("No leases.")] : rows),
    edge,
  ];
}
