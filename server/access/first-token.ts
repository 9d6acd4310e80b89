/**
 * The way into a server that asks for tokens when no admin has one: at its first start, and after the last admin's token has ended. The
 * token goes into a file for its owner alone and, where somebody looks on, to the terminal; never into a log.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError, wordsOf } from "../../shared/errors.ts";
import type { AuditLog } from "./audit-log.ts";
import { NOBODY } from "./audit-log.ts";
import { TOKEN_LIFETIME_MS, type TokenGate } from "./token-gate.ts";

export const FIRST_TOKEN_FILE = "admin-token";

/** Whom the first token is charged to; it is for making others. */
const FIRST_TENANT = "admin";

export interface FirstTokenOptions {
  readonly gate: TokenGate;
  readonly audit: AuditLog;
  readonly stateDirectory: string;
  /** The terminal of who starts the server, if there is one. */
  readonly terminal: { write(text: string): unknown } | undefined;
  /** Says for the log where the token is. */
  readonly tell: (file: string) => void;
}

/** Makes an admin's token where the server asks for tokens and no admin has one. @throws SluiceError STORE_FAILED when the file cannot be written */
export function makeFirstToken({ gate, audit, stateDirectory, terminal, tell }: FirstTokenOptions): void {
  if (gate.open || gate.hasAdmin) return;
  const request = { tenant: FIRST_TENANT, role: "ROLE_ADMIN", note: "made by the server at its start" };
  const { token, info } = audit.run({ identity: NOBODY, address: "", action: "CreateToken", request }, () =>
    gate.create({ tenant: FIRST_TENANT, role: "admin", note: request.note, lifetimeMs: TOKEN_LIFETIME_MS }, ""),
  );
  const file = join(stateDirectory, FIRST_TOKEN_FILE);
  try {
    // A file that is there keeps its mode, whatever that is.
    rmSync(file, { force: true });
    writeFileSync(file, `${token}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    // Or the next start would find an admin's token, and nobody would have it.
    gate.revoke(info.id);
    throw new SluiceError("STORE_FAILED", `The admin's token cannot be written to [${file}] [${wordsOf(error)}].`);
  }
  tell(file);
  terminal?.write(`\nThe admin's token, shown once and kept in ${file}:\n\n  SLUICE_TOKEN=${token}\n\n`);
}
