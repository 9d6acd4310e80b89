/** Jobs of a worker that trains the demo's digit classifier: on a device in its own process, or on a borrowed one. */

import type { Control } from "../../client/control.ts";
import type { Device, Lease } from "../../client/index.ts";
import { loadTrainer, steps as measureSteps, TRAINING_BYTES, type Trainer } from "../../client/measure/steps.ts";
import { openControl, openLease, type Target } from "./target.ts";

interface Place {
  readonly trainer: Trainer;
  readonly close: () => Promise<void>;
}

const places = new Map<string, Place>();

/** Makes a place under a name: in this process without a target, else under a lease of its server. */
export async function openPlace({ name, target }: { name: string; target?: Target }): Promise<void> {
  if (target === undefined) {
    // Loaded here only: no other job needs the device's compiler in its process.
    const { LocalDevice } = await import("./local-device.ts");
    const local = await LocalDevice.open(TRAINING_BYTES);
    // It has what the classifier uses of a device, and TypeScript knows classes with private fields by name only.
    const trainer = await loadTrainer(local as unknown as Device);
    places.set(name, { trainer, close: () => local.close() });
    return;
  }
  const control: Control = openControl(target);
  const { lease }: { lease: Lease } = await openLease(control, target, { memory: String(TRAINING_BYTES) });
  const close = async (): Promise<void> => {
    await lease.release();
    control.close();
  };
  places.set(name, { trainer: await loadTrainer(lease.devices[0]), close });
}

export async function closePlace({ name }: { name: string }): Promise<void> {
  await places.get(name)?.close();
  places.delete(name);
}

/** As `steps` of client/measure, in a place. */
export async function steps(options: { name: string } & Parameters<typeof measureSteps>[1]): Promise<number[]> {
  const place = places.get(options.name);
  if (place === undefined) throw new Error(`There is no place [${options.name}].`);
  return measureSteps(place.trainer, options);
}
