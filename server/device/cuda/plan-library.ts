/** What libraries have in common that have no handle, and no words for what fails: each of their plans or generators works in a stream of its own. */
import type { LibraryHandle } from "koffi";
import { type ErrorCode, SluiceError } from "../../../shared/errors.ts";
import type { Library } from "../../../shared/library-functions.ts";
import type { LibraryOutcome } from "../libraries.ts";
import { bindIfThere } from "./symbols.ts";

export abstract class PlanLibrary {
  abstract readonly table: Library;
  /** What statuses come to; all others are failures of the device or the library. */
  protected abstract readonly codes: Readonly<Record<number, ErrorCode>>;
  readonly handle = 0;
  readonly #library: LibraryHandle;

  protected constructor(library: LibraryHandle) {
    this.#library = library;
  }

  start(): number {
    return 0;
  }

  close(): void {}

  bind(name: string, kinds: readonly string[]): ((...values: readonly unknown[]) => number) | undefined {
    return bindIfThere(this.#library, name, kinds);
  }

  outcome(status: number): LibraryOutcome {
    return { status, message: "" };
  }

  isDevices(status: number): boolean {
    return status !== 0 && this.codes[status] === undefined;
  }

  failure({ status }: LibraryOutcome, doing: string): SluiceError {
    const text = `${this.table.name} fails to ${doing} [status ${status}].`;
    return new SluiceError(this.codes[status] ?? "DEVICE_FAILED", text);
  }
}
