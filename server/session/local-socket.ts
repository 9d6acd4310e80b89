/** The path of a Unix socket: whether the system takes it, and what may be removed from it. Listens nowhere itself. */
import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { SluiceError } from "../../shared/errors.ts";

/** The shortest bound of the systems that Node runs on: 104 bytes with the terminator. */
const PATH_BYTES_MAX = 103;

/**
 * Makes way for a socket at `path`: removes a socket's file there that nobody listens at, and no other file.
 * @throws SluiceError BAD_ARGUMENT when the path is too long or holds something else, SERVER_UNREACHABLE when somebody listens there
 */
export async function freeSocketPath(path: string): Promise<void> {
  const byteCount = Buffer.byteLength(path);
  if (byteCount > PATH_BYTES_MAX) {
    throw new SluiceError(
      "BAD_ARGUMENT",
      `The path of a socket has at most [${PATH_BYTES_MAX}] bytes, and [${path}] has [${byteCount}].`,
    );
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new SluiceError("BAD_ARGUMENT", `The file [${path}] is no socket.`);
  if (await isListenedAt(path)) throw new SluiceError("SERVER_UNREACHABLE", `Another process listens at [${path}].`);
  unlinkSync(path);
}

/** Refused: the file outlived its process. The others: there is no socket. */
const nobody: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOENT", "ENOTDIR"]);

/** Whether somebody listens at a socket's path, which need not be there. */
export function isListenedAt(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // Anything else, such as a missing permission, may be somebody's.
    socket.once("error", ({ code = "" }: NodeJS.ErrnoException) => resolve(!nobody.has(code)));
  });
}
