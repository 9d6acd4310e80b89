/** Folders of the check for things of a moment: gone with it, also when it is stopped in the middle. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** @throws what the system says where none can be made */
export function scratchFolder(name: string): { readonly folder: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), `sluice-check-${name}-`));
  const clear = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", clear);
  const remove = (): void => {
    process.off("exit", clear);
    clear();
  };
  return { folder, remove };
}
