/**
 * Conditions on devices: `KEY OP VALUE` with one of = != >= <= > < ~, such as `device.name~A100`. Keys are those of `PoolDevice.facts`,
 * `device.id`, `device.phy-memory`, `server.addr`, `server.hostname` and `label.KEY`. `~` asks for a part of the text, whatever its case.
 * Order is by number where both sides are versions or sizes, such as 12.4 < 12.10. An absent fact meets no condition but `!=`.
 */
import { parseSize } from "../../shared/units.ts";
import type { PoolDevice } from "./types.ts";

const keys = new Set([
  "server.addr",
  "server.hostname",
  "server.has-rdma",
  "server.cuda-version",
  "server.driver-version",
  "device.id",
  "device.name",
  "device.phy-memory",
  "device.capability",
  "device.kind",
]);

/** Facts in which devices of one class may differ. */
const narrowKeys = new Set(["device.id", "server.addr", "server.hostname"]);

export interface Filter {
  readonly text: string;
  readonly key: string;
  readonly test: (fact: string) => boolean;
  readonly meetsAbsent: boolean;
  /** Whether devices of one class may differ in it. */
  readonly isNarrow: boolean;
}

const version = /^\d+(\.\d+)*$/;

/** -1, 0 or 1; undefined where the two have no order. */
function compareVersions(a: string, b: string): number | undefined {
  if (!version.test(a) || !version.test(b)) return undefined;
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const order = Math.sign((left[index] ?? 0) - (right[index] ?? 0));
    if (order !== 0) return order;
  }
  return 0;
}

function compare(key: string, value: string): (fact: string) => number | undefined {
  if (key !== "device.phy-memory") return (fact) => compareVersions(fact, value) ?? (fact === value ? 0 : undefined);
  const bytes = version.test(value) ? Number(value) : parseSize(value);
  return (fact) => Math.sign(Number(fact) - bytes);
}

function testOf(parts: {
  readonly key: string;
  readonly operator: string;
  readonly value: string;
}): (fact: string) => boolean {
  if (parts.operator === "~") {
    const part = parts.value.toLowerCase();
    return (fact) => fact.toLowerCase().includes(part);
  }
  const order = compare(parts.key, parts.value);
  switch (parts.operator) {
    case "=":
      return (fact) => order(fact) === 0;
    case "!=":
      return (fact) => order(fact) !== 0;
    case ">=":
      return (fact) => (order(fact) ?? -1) >= 0;
    case "<=":
      return (fact) => (order(fact) ?? 1) <= 0;
    case ">":
      return (fact) => (order(fact) ?? 0) > 0;
    default:
      return (fact) => (order(fact) ?? 0) < 0;
  }
}

/** A filter from its text, or a sentence that says what is wrong with it. */
export function parseFilter(text: string): Filter | string {
  const match = /^\s*([\w.-]+)\s*(!=|>=|<=|=|>|<|~)\s*(.*?)\s*$/.exec(text);
  if (match === null) return `The filter [${text}] is not a key, one of = != >= <= > < ~, and a value.`;
  const [, key, operator, value] = match as unknown as [string, string, string, string];
  if (!keys.has(key) && !/^label\.[\w.-]+$/.test(key)) {
    return `The filter [${text}] asks about [${key}], which is not one of [${[...keys].join(", ")}] or label.KEY.`;
  }
  if (value === "") return `The filter [${text}] has no value.`;
  try {
    const test = testOf({ key, operator, value });
    return { text, key, test, meetsAbsent: operator === "!=", isNarrow: narrowKeys.has(key) };
  } catch {
    return `The filter [${text}] has a value that is not a size [${value}].`;
  }
}

function factOf(device: PoolDevice, key: string): string | undefined {
  if (key === "device.id") return device.id;
  if (key === "device.phy-memory") return String(device.memoryBytes);
  if (key.startsWith("label.")) return device.labels?.[key.slice("label.".length)];
  return device.facts?.[key];
}

export function meets(device: PoolDevice, filter: Filter): boolean {
  const fact = factOf(device, filter.key);
  return fact === undefined ? filter.meetsAbsent : filter.test(fact);
}

/** Whether the device has the label KEY, or KEY=VALUE. */
function hasLabel(device: PoolDevice, label: string): boolean {
  const at = label.indexOf("=");
  if (at < 0) return device.labels?.[label] !== undefined;
  return device.labels?.[label.slice(0, at)] === label.slice(at + 1);
}

/** Why labels keep the request off the device; undefined when they do not. */
export function labelObstacle(
  device: PoolDevice,
  wish: { readonly avoid?: readonly string[]; readonly tolerate?: readonly string[] },
): string | undefined {
  const avoided = wish.avoid?.find((label) => hasLabel(device, label));
  if (avoided !== undefined) return `has the label [${avoided}], which the request avoids`;
  const tolerated = new Set(
    (wish.tolerate ?? []).filter((label) => hasLabel(device, label)).map((label) => label.split("=")[0]),
  );
  const taint = device.taints?.find((key) => !tolerated.has(key));
  return taint === undefined ? undefined : `is tainted by [${taint}], which the request does not tolerate`;
}

/** What of a device's facts and labels is the same for all devices of its class. */
export function classFacts(device: PoolDevice): unknown[] {
  const facts = Object.entries(device.facts ?? {}).filter(([key]) => !narrowKeys.has(key));
  return [facts.sort(), Object.entries(device.labels ?? {}).sort(), [...(device.taints ?? [])].sort()];
}
