/**
 * The devices of this server as the pool takes them: what `--device` SPECs find, how each is shared, and the facts and labels that
 * filters ask about. A SPEC may end in options: `,mode=exclusive`, `,profile=8x10GiB`, `,label=KEY=VALUE`, `,taint=KEY`,
 * `,capability=8.9`.
 */
import { SluiceError } from "../shared/errors.ts";
import { CONDITION_LENGTH_MAX } from "../shared/limits.ts";
import { isPrintable } from "../shared/printable.ts";
import { formatSize, parseSize } from "../shared/units.ts";
import type { PooledDevice } from "./control/broker-options.ts";
import type { DeviceDescription } from "./device/device.ts";
import { discoverDevices, type MissingDevices } from "./executor/drivers.ts";
import type { Sharing } from "./pool/types.ts";

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

/** Labels by their keys. */
export type Labels = Readonly<Record<string, string>>;

/** A SPEC of `--device`, read. */
export interface DeviceSpec {
  /** As given. */
  readonly text: string;
  /** Without its options: what the driver reads. */
  readonly devices: string;
  readonly sharing: Sharing;
  /** How many slices of the profile are lent; all that fit without it. */
  readonly profileSlices: number | undefined;
  readonly labels: Labels;
  readonly taints: readonly string[];
  /** The compute capability that devices of kind `cpu` stand for; their own without it. */
  readonly capability: Capability | undefined;
}

type Capability = Pick<DeviceDescription, "capabilityMajor" | "capabilityMinor">;

const labelKey = /^[\w.-]+$/;
const isLabelValue = (text: string): boolean => isPrintable(text) && !text.includes(",");

/** KEY and VALUE of a label. @throws SluiceError BAD_ARGUMENT */
export function parseLabel(text: string): readonly [key: string, value: string] {
  const at = text.indexOf("=");
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 0 || !labelKey.test(key) || value === "" || text.length > CONDITION_LENGTH_MAX || !isLabelValue(value)) {
    throw bad(
      `A label is written as KEY=VALUE, like zone=a, with letters, digits, dots and dashes in its key, and [${text}] is not.`,
    );
  }
  return [key, value];
}

function parseProfile(text: string): { readonly count: number; readonly bytes: number } {
  const match = /^(\d{1,4})x(.+)$/.exec(text);
  const count = Number(match?.[1] ?? 0);
  if (match === null || count < 1) throw bad(`A profile is written as COUNTxSIZE, like 8x10GiB, and [${text}] is not.`);
  return { count, bytes: parseSize(match[2]!) };
}

function parseMode(text: string): Sharing {
  if (text !== "dynamic" && text !== "exclusive") {
    throw bad(
      `The mode [${text}] of a device is none of [dynamic, exclusive]; fixed slices are written as profile=8x10GiB.`,
    );
  }
  return { mode: text };
}

/** Only a cpu device can choose what it stands for: it takes a program's PTX up to that, and programs take it for such a GPU. */
function parseCapability(text: string, spec: string): Capability {
  const match = /^(\d{1,2})\.(\d)$/.exec(text);
  const [capabilityMajor, capabilityMinor] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || capabilityMajor < 5)
    throw bad(`A compute capability is written like 8.9, and [${text}] is not.`);
  if (!/^cpu(:|$|,)/.test(spec))
    throw bad(`The device [${spec}] has a capability of its own; a [cpu] device alone can be given one.`);
  return { capabilityMajor, capabilityMinor };
}

/** Reads a SPEC. Parts without a `=` belong to the devices, as in `cuda:0,2`. @throws SluiceError BAD_ARGUMENT */
export function parseDeviceSpec(text: string): DeviceSpec {
  const parts = text.split(",");
  const labels: Record<string, string> = {};
  const taints: string[] = [];
  let sharing: Sharing | undefined;
  let profileSlices: number | undefined;
  let capability: Capability | undefined;
  const share = (chosen: Sharing): void => {
    if (sharing !== undefined) throw bad(`The device [${text}] is given more than one of [mode, profile].`);
    sharing = chosen;
  };
  for (const part of parts.filter((each) => each.includes("="))) {
    const at = part.indexOf("=");
    const [key, value] = [part.slice(0, at), part.slice(at + 1)];
    if (key === "mode") share(parseMode(value));
    else if (key === "profile") {
      const { count, bytes } = parseProfile(value);
      share({ mode: "profile", profileBytes: bytes });
      profileSlices = count;
    } else if (key === "label") {
      const [name, content] = parseLabel(value);
      labels[name] = content;
    } else if (key === "capability") capability = parseCapability(value, text);
    else if (key === "taint" && labelKey.test(value)) taints.push(value);
    else if (key === "taint") throw bad(`The taint [${value}] of the device [${text}] is not the key of a label.`);
    else
      throw bad(
        `The device [${text}] has the option [${key}], which is none of [mode, profile, label, taint, capability].`,
      );
  }
  const devices = parts.filter((each) => !each.includes("=")).join(",");
  return { text, devices, sharing: sharing ?? { mode: "dynamic" }, profileSlices, labels, taints, capability };
}

/** Cuts the device into the slices of its profile: what they leave is not lent. */
function lendable(device: DeviceDescription, { text, sharing, profileSlices = 0 }: DeviceSpec): number {
  if (sharing.mode !== "profile") return device.memoryBytes;
  const { profileBytes } = sharing;
  const bytes = profileSlices * profileBytes;
  if (bytes > device.memoryBytes) {
    throw bad(
      `The profile of [${text}] takes [${formatSize(bytes)}], and the device [${device.id}] has [${formatSize(device.memoryBytes)}].`,
    );
  }
  if (profileBytes < device.granularityBytes + device.overheadBytes) {
    const least = formatSize(device.granularityBytes + device.overheadBytes);
    throw bad(`The profile of [${text}] has slices of [${formatSize(profileBytes)}], and the least is [${least}].`);
  }
  return bytes;
}

interface Server {
  readonly hostname: string;
  readonly address: string;
  /** Of all its devices. */
  readonly labels: Labels;
}

/** What filters ask about; absent where the hardware does not tell. */
function factsOf(device: DeviceDescription, { hostname, address }: Server): Record<string, string> {
  const { details } = device;
  const facts = {
    "server.addr": address,
    "server.hostname": hostname,
    "server.cuda-version": details?.cudaVersion ?? "",
    "server.driver-version": details?.driverVersion ?? "",
    "device.name": device.name,
    "device.kind": device.kind,
    "device.capability": `${device.capabilityMajor}.${device.capabilityMinor}`,
  };
  return Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== ""));
}

/** Replaces estimates about devices by what is measured, in the same order. */
type MeasureDevices = (devices: readonly DeviceDescription[]) => Promise<readonly DeviceDescription[]>;

/**
 * All devices of the SPECs.
 * @throws SluiceError BAD_ARGUMENT, and what the drivers throw
 */
export async function takeInventory(
  texts: readonly string[],
  server: Server,
  { measure, ...missing }: MissingDevices & { readonly measure: MeasureDevices },
): Promise<PooledDevice[]> {
  const specs = texts.map(parseDeviceSpec);
  const discovered = await discoverDevices(
    specs.map(({ devices }) => devices),
    missing,
  );
  const measured = await measure(discovered.map(({ device }) => device));
  const known = discovered.map(({ specIndex }, index) => ({ device: measured[index]!, specIndex }));
  return known.map(({ device: found, specIndex }) => {
    const spec = specs[specIndex]!;
    const device = { ...found, ...spec.capability };
    const labels = { ...server.labels, ...spec.labels };
    const bare = spec.taints.find((taint) => !Object.hasOwn(labels, taint));
    // Requests tolerate labels: without one nothing could ever use the device.
    if (bare !== undefined) throw bad(`The taint [${bare}] of [${spec.text}] is not the key of a label of the device.`);
    const links = device.details?.nvlink.map(({ device: other, links: count }) => [other, Math.max(1, count)]);
    return {
      ...device,
      memoryBytes: lendable(device, spec),
      sharing: spec.sharing,
      facts: factsOf(device, server),
      labels,
      taints: spec.taints,
      ...(links === undefined ? {} : { links: Object.fromEntries(links) }),
    };
  });
}
