/** One device in full, and what an admin can do with it: cordon, uncordon, drain. */
import { useState } from "preact/hooks";
import { parseDuration } from "../../../shared/units.ts";
import { call } from "../api.ts";
import { percent, size } from "../format.ts";
import type { LiveState } from "../live/live.ts";
import type { DeviceSums } from "../pool-sums.ts";
import { DeviceBar } from "./device-row.tsx";
import { ActionDialog, Field, textOf, useModal } from "./dialog.tsx";

interface DeviceDialogProps {
  readonly sums: DeviceSums;
  readonly state: LiveState;
  readonly onClose: () => void;
}

export function DeviceDialog({ sums, state, onClose }: DeviceDialogProps) {
  const modal = useModal(onClose);
  const [asked, setAsked] = useState<"cordon" | "drain" | undefined>(undefined);
  const { device } = sums;
  return (
    <dialog {...modal} class="dialog dialog-wide" aria-labelledby="device-title">
      <h2 id="device-title">
        {device.id} <span class="quiet">{device.name}</span>
      </h2>
      <DeviceBar sums={sums} highlighted="" />
      <DeviceFacts sums={sums} />
      <div class="dialog-actions">
        {state.session?.role === "admin" && <DeviceActions sums={sums} onAsk={setAsked} />}
        <button type="button" class="button" onClick={onClose}>
          Close
        </button>
      </div>
      {asked !== undefined && <AskDialog what={asked} deviceId={device.id} onClose={() => setAsked(undefined)} />}
    </dialog>
  );
}

function DeviceActions({ sums: { device }, onAsk }: { sums: DeviceSums; onAsk: (what: "cordon" | "drain") => void }) {
  const isClosed = device.draining || device.cordon !== null;
  return (
    <>
      {isClosed && (
        <button
          type="button"
          class="button button-main"
          onClick={() => void call("AdminService/Uncordon", { deviceId: device.id })}
        >
          Uncordon
        </button>
      )}
      {!isClosed && (
        <button type="button" class="button" onClick={() => onAsk("cordon")}>
          Cordon …
        </button>
      )}
      {!device.draining && (
        <button type="button" class="button" onClick={() => onAsk("drain")}>
          Drain …
        </button>
      )}
    </>
  );
}

function AskDialog(props: {
  readonly what: "cordon" | "drain";
  readonly deviceId: string;
  readonly onClose: () => void;
}) {
  const { what, deviceId, onClose } = props;
  const isDrain = what === "drain";
  return (
    <ActionDialog
      title={isDrain ? `Drain ${deviceId}` : `Cordon ${deviceId}`}
      action={isDrain ? "Drain" : "Cordon"}
      isDangerous={isDrain}
      onClose={onClose}
      run={(fields) => {
        const message = textOf(fields, "message");
        if (!isDrain) return call("AdminService/Cordon", { deviceId, message });
        return call("AdminService/Drain", {
          deviceId,
          message,
          graceMs: parseDuration(textOf(fields, "grace") || "0"),
        });
      }}
    >
      <p>
        {isDrain
          ? "Nothing new is placed on the device, and every lease on it ends after the grace."
          : "Nothing new is placed on the device. What runs there runs on."}
      </p>
      {isDrain && (
        <Field name="grace" label="Grace" value="5m" hint="How long its leases still have, such as 30s or 1h." />
      )}
      <Field name="message" label="Reason, for those who wait" placeholder="Maintenance" />
    </ActionDialog>
  );
}

function DeviceFacts({ sums }: { readonly sums: DeviceSums }) {
  const { device, load, isLoadMeasured } = sums;
  const { health, hardware, cordon } = device;
  const facts: [string, string | undefined][] = [
    ["Lent", `${size(device.grantedBytes)} in ${device.slices} slices`],
    ["Free", size(sums.freeBytes)],
    ["Out of reach", sums.strandedBytes > 0 ? `${size(sums.strandedBytes)}: ${sums.strandedWhy}` : undefined],
    ["Overhead", device.overheadBytes > 0 ? size(device.overheadBytes) : undefined],
    ["Compute", `${percent(load)} ${isLoadMeasured ? "in use" : "used by leases"}`],
    ["Compute promised", device.freeCompute < 1 ? percent(1 - device.freeCompute) : undefined],
    ["Closed", cordon === null ? undefined : cordon.message],
    ["Problems", health?.problems.join(" ") || undefined],
    ["Slowed by", health?.throttling.join(", ") || undefined],
    ["Temperature", health?.temperatureCelsius === undefined ? undefined : `${health.temperatureCelsius} °C`],
    ["Power", health?.powerWatts === undefined ? undefined : `${Math.round(health.powerWatts)} W`],
    ["Used on the device", health?.memoryUsedBytes === undefined ? undefined : size(health.memoryUsedBytes)],
    ["Uncorrected errors", health?.uncorrectedErrors === undefined ? undefined : String(health.uncorrectedErrors)],
    ["Compute capability", device.capability],
    ["PCI", hardware?.pciAddress || undefined],
    ["Driver", hardware?.driverVersion || undefined],
    ["CUDA", hardware?.cudaVersion || undefined],
    [
      "Labels",
      Object.entries(device.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(", ") || undefined,
    ],
    ["Taints", device.taints.join(", ") || undefined],
  ];
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
