/** `sluice health`: named checks of this client, the server, its devices, the network between, and both clocks. */
import { connect } from "node:net";
import type { Command } from "commander";
import { toSluiceError } from "../../shared/errors.ts";
import type { Control } from "../control.ts";
import type { DeviceInfo } from "../index.ts";
import { VERSION } from "../version.ts";
import { ExitCode, ExitError, sentence } from "./failure.ts";
import { addJsonOption, addServerOption, type JsonOptions, type ServerOptions } from "./options.ts";
import { countText, print, printJson, terminalWidth } from "./output.ts";
import { type Item, serversTable, withFleet, withServers } from "./servers.ts";
import { formatTable } from "./table.ts";

type Status = "ok" | "warning" | "failed" | "skipped";

interface Check {
  readonly name: string;
  readonly status: Status;
  readonly detail: string;
}

/** Round trips measured; the first connection also looks the name up. */
const TRIPS = 9;
const TRIP_MS_MAX = 5_000;
/** An answered call costs a round trip: beyond it, programs that often wait feel the network. */
const LATENCY_MS_MAX = 1;
/** Beyond it times of leases and queues look wrong; tokens and certificates may be refused. */
const CLOCK_WARNING_MS = 2_000;
const CLOCK_FAILED_MS = 60_000;

export function addHealthCommand(program: Command): void {
  const command = program
    .command("health")
    .description("check client, server, devices, network and clock; exit code 1 if a check fails");
  addJsonOption(addServerOption(command)).addHelpText(
    "after",
    `
A warning is worth a look and fails nothing.

Examples:
  sluice health
  sluice health --server gpus.example:7460 --json`,
  );
  command.action((options: ServerOptions & JsonOptions) =>
    withFleet(options, async (fleet) => {
      const checked = fleet.controls.map(async (control): Promise<Item<Check>[]> => {
        return (await runChecks(control)).map((item) => ({ control, item }));
      });
      const items = (await Promise.all(checked)).flat();
      const healthy = items.every(({ item }) => item.status !== "failed");
      if (options.json) {
        const { only } = fleet;
        printJson({ ...(only === undefined ? {} : { server: only.address }), healthy, checks: withServers(items) });
      } else {
        const columns = [{ title: "CHECK" }, { title: "STATUS" }, { title: "DETAIL", shrinkTo: 20 }];
        const row = ({ name, status, detail }: Check) => [name, status, detail];
        // Of several servers it is the same client.
        const shown = items.filter(({ control, item }) => item.name !== "client" || control === fleet.controls[0]);
        print(formatTable(...serversTable(fleet, { columns, items: shown, row }), terminalWidth()));
      }
      if (!healthy) throw new ExitError(ExitCode.FAILED);
    }),
  );
}

async function runChecks(control: Control): Promise<Check[]> {
  const client: Check = { name: "client", status: "ok", detail: `sluice ${VERSION} on Node ${process.versions.node}` };
  const network = await checkNetwork(control);
  let devices: readonly DeviceInfo[];
  let server: Check;
  try {
    const listed = await control.listDevices();
    devices = listed.devices;
    server = checkVersion(listed.serverVersion);
  } catch (error) {
    const skipped = ["devices", "clock"].map(
      (name): Check => ({ name, status: "skipped", detail: "needs the server" }),
    );
    return [client, { name: "server", status: "failed", detail: sentence(toSluiceError(error)) }, network, ...skipped];
  }
  return [client, server, network, checkDevices(devices), await checkClock(control)];
}

function checkVersion(version: string): Check {
  const name = "server";
  if (version === VERSION) return { name, status: "ok", detail: `sluice ${version} answers` };
  return {
    name,
    status: "warning",
    detail: `runs sluice ${version}, this client ${VERSION}: both ends must speak the same table of calls`,
  };
}

/** What a connection takes to be there is one round trip, whatever the server does meanwhile. */
async function checkNetwork({ server: { host, port } }: Control): Promise<Check> {
  const name = "network";
  try {
    const trips: number[] = [];
    for (let trip = 0; trip <= TRIPS; trip++) trips.push(await roundTripMs(host, port));
    const sorted = trips.slice(1).sort((a, b) => a - b);
    const median = sorted[TRIPS >> 1]!;
    const detail = `${median.toFixed(2)} ms a round trip (${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)}), which each answered call pays`;
    return { name, status: median > LATENCY_MS_MAX ? "warning" : "ok", detail };
  } catch (error) {
    return {
      name,
      status: "failed",
      detail: `no connection to ${host}:${port} [${error instanceof Error ? error.message : String(error)}]`,
    };
  }
}

function roundTripMs(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = connect({ host, port, timeout: TRIP_MS_MAX });
    socket.once("connect", () => {
      resolve(performance.now() - began);
      socket.destroy();
    });
    socket.once("timeout", () => socket.destroy(new Error(`nothing within ${TRIP_MS_MAX} ms`)));
    socket.once("error", reject);
  });
}

function checkDevices(devices: readonly DeviceInfo[]): Check {
  const name = "devices";
  if (devices.length === 0) return { name, status: "failed", detail: "the server has none" };
  const ill = devices.flatMap(({ id, health, cordon }) =>
    health?.problems.length
      ? [`${id}: ${health.problems.join(" ")}`]
      : cordon?.code === "DEVICE_UNHEALTHY"
        ? [`${id}: ${cordon.message}`]
        : [],
  );
  if (ill.length > 0) return { name, status: "failed", detail: ill.join("; ") };
  const remarks = devices.flatMap(({ id, health, cordon, draining }) => [
    ...(draining ? [`${id} is being drained`] : cordon === null ? [] : [`${id} is closed: ${cordon.message}`]),
    ...(health?.throttling.length ? [`${id} is slowed down (${health.throttling.join(", ")})`] : []),
  ]);
  if (remarks.length > 0) return { name, status: "warning", detail: remarks.join("; ") };
  return { name, status: "ok", detail: `${countText(devices.length, "device")}, all open` };
}

/** The server's clock against the middle of the trip that asked for it. */
async function checkClock(control: Control): Promise<Check> {
  const name = "clock";
  const controller = new AbortController();
  const began = Date.now();
  let offsetMs: number | undefined;
  try {
    await control.watchPool(
      { intervalMs: 60_000 },
      {
        signal: controller.signal,
        onChange: ({ nowAtMs }) => {
          offsetMs ??= nowAtMs - (began + Date.now()) / 2;
          controller.abort();
        },
      },
    );
  } catch (error) {
    return { name, status: "failed", detail: sentence(toSluiceError(error)) };
  }
  const apart = Math.abs(offsetMs ?? 0);
  const status = apart > CLOCK_FAILED_MS ? "failed" : apart > CLOCK_WARNING_MS ? "warning" : "ok";
  const direction = (offsetMs ?? 0) < 0 ? "behind" : "ahead of";
  const detail =
    status === "ok"
      ? "the server's and this client's agree"
      : `the server's is ${(apart / 1000).toFixed(1)} s ${direction} this client's`;
  return { name, status, detail };
}
