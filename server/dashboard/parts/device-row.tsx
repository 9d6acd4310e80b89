/** One device: its memory as a bar of slices, and beside it how busy and how well it is. */
import { colours } from "../colours.ts";
import { percent, size } from "../format.ts";
import { type DeviceSums, type HeldSlice, statesOf } from "../pool-sums.ts";
import { linkTo } from "../route.ts";
import { Meter } from "./small.tsx";

const MARKS: Readonly<Record<string, string>> = {
  unhealthy: "mark-bad",
  draining: "mark-warn",
  cordoned: "mark-warn",
  throttled: "mark-warn",
};

const modes: Readonly<Record<string, string>> = {
  SHARING_MODE_EXCLUSIVE: "exclusive",
  SHARING_MODE_PROFILE: "fixed slices",
};

export interface DeviceRowProps {
  readonly sums: DeviceSums;
  /** The tenant whose slices stand out; empty for all. */
  readonly highlighted: string;
  /** Opens what can be done with the device. */
  readonly onOpen: (deviceId: string) => void;
}

export function DeviceRow({ sums, highlighted, onOpen }: DeviceRowProps) {
  const { device } = sums;
  const marks = statesOf(sums).filter((state) => MARKS[state] !== undefined);
  return (
    <li class="device" data-device={device.id}>
      <div class="device-name">
        <button type="button" class="link" onClick={() => onOpen(device.id)} title={device.name}>
          {device.id}
        </button>
        {marks.map((mark) => (
          <span key={mark} class={`mark-text ${MARKS[mark]}`} title={whyMarked(sums, mark)}>
            {mark}
          </span>
        ))}
        {modes[device.mode] !== undefined && <span class="mark-text">{modes[device.mode]}</span>}
      </div>
      <DeviceBar sums={sums} highlighted={highlighted} />
      <div class="device-free">
        <b>{size(sums.freeBytes)}</b> <span>free of {size(device.memoryBytes)}</span>
      </div>
      <Condition sums={sums} />
    </li>
  );
}

function whyMarked({ device }: DeviceSums, mark: string): string {
  if (mark === "throttled") return device.health?.throttling.join(", ") ?? "";
  if (mark === "unhealthy") return [...(device.health?.problems ?? []), device.cordon?.message ?? ""].join(" ").trim();
  return device.cordon?.message ?? "";
}

export function DeviceBar({ sums, highlighted }: Pick<DeviceRowProps, "sums" | "highlighted">) {
  const { device, slices, overheadBytes, reservedBytes, strandedBytes, strandedWhy } = sums;
  const width = (bytes: number) => ({ width: `${(bytes / device.memoryBytes) * 100}%` });
  const parts = [
    `${size(device.grantedBytes)} lent in ${device.slices} slices`,
    `${size(sums.freeBytes)} free`,
    ...(overheadBytes > 0 ? [`${size(overheadBytes)} overhead`] : []),
    ...(reservedBytes > 0 ? [`${size(reservedBytes)} reserved`] : []),
    ...(strandedBytes > 0 ? [`${size(strandedBytes)} out of reach: ${strandedWhy}`] : []),
  ];
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset holds inputs, and these are links.
    <div class="bar" role="group" aria-label={`${device.id}: ${parts.join(", ")}`}>
      {slices.map((slice) => (
        <SlicePart
          key={`${slice.lease.id}/${slice.index}`}
          slice={slice}
          style={width(slice.bytes)}
          isFaint={highlighted !== "" && highlighted !== slice.lease.tenant}
        />
      ))}
      {overheadBytes > 0 && (
        <span class="part part-overhead" style={width(overheadBytes)} title={`${size(overheadBytes)} overhead`} />
      )}
      {reservedBytes > 0 && (
        <span
          class="part part-reserved"
          style={width(reservedBytes)}
          title={`${size(reservedBytes)} kept for a reservation`}
        />
      )}
      {strandedBytes > 0 && (
        <span
          class="part part-stranded"
          style={width(strandedBytes)}
          title={`${size(strandedBytes)} free but out of reach: ${strandedWhy}`}
        />
      )}
    </div>
  );
}

function SlicePart(props: {
  readonly slice: HeldSlice;
  readonly style: { readonly width: string };
  readonly isFaint: boolean;
}) {
  const { slice, style, isFaint } = props;
  const { lease, bytes } = slice;
  const text = `${size(bytes)}, ${lease.tenant}${lease.name === "" ? "" : `, ${lease.name}`}`;
  const isEnding = lease.state === "LEASE_STATE_ENDING";
  const classes = ["part", colours.classOf(lease.tenant), isFaint ? "is-faint" : "", isEnding ? "is-ending" : ""];
  return (
    <a class={classes.join(" ")} style={style} href={linkTo("leases", lease.id)} aria-label={text} title={text}>
      <span class="part-text">
        <span class="part-name">{lease.name || lease.tenant}</span> <span class="part-size">{size(bytes)}</span>
      </span>
    </a>
  );
}

/** Busy, hot, drawing power: what is known of it. */
function Condition({ sums }: { readonly sums: DeviceSums }) {
  const { health } = sums.device;
  return (
    <div class="condition">
      <span class="condition-load">
        <Meter
          part={sums.load}
          label={sums.isLoadMeasured ? "Compute in use" : "Compute that leases use"}
          tone={sums.load > 0.9 ? "tone-hot" : ""}
        />
        <span class="number">{percent(sums.load)}</span>
      </span>
      {health?.temperatureCelsius !== undefined && (
        <span class="number" title="Temperature of the chip">
          {health.temperatureCelsius} °C
        </span>
      )}
      {health?.powerWatts !== undefined && (
        <span class="number" title="Power that the device draws">
          {Math.round(health.powerWatts)} W
        </span>
      )}
    </div>
  );
}
