/**
 * Makes folders for their owner alone, with all that lead to them. Not by `mkdir` with `recursive`: Node tries that for ever where the system
 * refuses a folder although its parent is there, as under /proc.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Does nothing where the folder is there. Throws the system's error. */
export function makeFolder(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    const parent = dirname(path);
    if (codeOf(error) !== "ENOENT" || parent === path) throw error;
    makeFolder(parent);
    makeOne(path);
  }
}

function makeOne(path: string): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    // It may be one of another file system, or a link to one.
    if (codeOf(error) === "ENOENT" || !isFolder(path)) throw error;
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
