/** Whether a command can be started: looked at before a share is waited for, and put into words when a start fails. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** As shells do: the command does not exist, or cannot be executed. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

export interface Obstacle {
  /** What the command line exits with. */
  readonly exitCode: number;
  readonly message: string;
}

const obstacle = (file: string, exitCode: number, why: string): Obstacle => ({
  exitCode,
  message: `The command [${file}] does not start: ${why}.`,
});

/** Why the command would not start; undefined when nothing speaks against it. `path` is the variable PATH. */
export async function obstacleTo(file: string, path: string | undefined): Promise<Obstacle | undefined> {
  // Elsewhere names have endings that are left out.
  if (process.platform === "win32") return undefined;
  if (file.includes("/")) {
    const why = await whyNot(file);
    if (why === undefined) return undefined;
    return why === "absent"
      ? obstacle(file, NOT_FOUND, "there is no such file")
      : obstacle(file, NOT_EXECUTABLE, why === "folder" ? "it is a folder" : "its file may not be executed");
  }
  const found = await Promise.all((path ?? "").split(delimiter).map((folder) => whyNot(join(folder || ".", file))));
  if (found.includes(undefined)) return undefined;
  if (found.includes("barred")) return obstacle(file, NOT_EXECUTABLE, "its file may not be executed");
  return obstacle(file, NOT_FOUND, "no folder of PATH has it");
}

/** Whether the file gives its command another user's or group's rights: the system then keeps the loader's variables from it. */
export async function gainsRights(file: string, path: string | undefined): Promise<boolean> {
  const folders = file.includes("/") ? [""] : (path ?? "").split(delimiter).map((folder) => folder || ".");
  for (const candidate of folders.map((folder) => join(folder, file))) {
    if ((await whyNot(candidate)) !== undefined) continue;
    const { mode, uid, gid } = await stat(candidate);
    const [setsUser, setsGroup] = [(mode & 0o4000) !== 0, (mode & 0o2010) === 0o2010];
    return (setsUser && uid !== process.geteuid?.()) || (setsGroup && gid !== process.getegid?.());
  }
  return false;
}

/** Why a start failed that nothing spoke against. */
export function obstacleOf(file: string, error: NodeJS.ErrnoException): Obstacle {
  if (error.code === "ENOENT") {
    return obstacle(file, NOT_FOUND, "its file, or the interpreter that this one names, is not there");
  }
  return obstacle(file, NOT_EXECUTABLE, error.message);
}

async function whyNot(path: string): Promise<"absent" | "folder" | "barred" | undefined> {
  try {
    if ((await stat(path)).isDirectory()) return "folder";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? "barred" : "absent";
  }
  return await access(path, constants.X_OK).then(
    () => undefined,
    () => "barred" as const,
  );
}
