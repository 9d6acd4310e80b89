/** What killed commands leave among the temporary files: the next command clears it away, and nothing else. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeOwnFolder, ownerMark } from "../../client/cli/own-folder.ts";

let above: string;
const running: ChildProcess[] = [];

beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), "sluice-own-"));
});
afterEach(async () => {
  for (const child of running.splice(0)) await end(child);
  rmSync(above, { recursive: true });
});

/** A process that does nothing. */
function start(env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn("sleep", ["600"], { stdio: "ignore", env: { ...process.env, ...env } });
  running.push(child);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** As a command leaves it. */
function leave(name: string): string {
  mkdirSync(join(above, name));
  writeFileSync(join(above, name, "word"), "x");
  return name;
}

it("the folder of a killed command is gone with the next, those of living ones and of other systems stay", async () => {
  const [dead, living] = [start(), start()];
  const [deadMark, livingMark] = [dead, living].map(({ pid }) => ownerMark(pid!)!);
  await end(dead);
  expect(ownerMark(dead.pid!)).toBeUndefined();
  for (const purpose of ["sessions", "relay"]) leave(`sluice-${purpose}-${deadMark}-abcdef`);
  const kept = [
    leave(`sluice-sessions-${livingMark}-abcdef`),
    leave(`sluice-sessions-${deadMark!.replace(/^./, (digit) => (digit === "0" ? "1" : "0"))}-abcdef`),
    leave(`sluice-state-${deadMark}-abcdef`),
    leave("sluice-sessions-abcdef"),
  ];
  const own = makeOwnFolder("sessions", above);
  expect(own).toContain(`sluice-sessions-${ownerMark(process.pid)}-`);
  makeOwnFolder("relay", above);
  expect(readdirSync(above).filter((name) => !name.includes(`-${process.pid}-`))).toEqual(kept.sort());
});

it("a folder that its command's program still knows of stays until that ends, and a link or a file that looks like one for ever", async () => {
  const dead = start();
  const mark = ownerMark(dead.pid!);
  await end(dead);
  const used = leave(`sluice-sessions-${mark}-abcdef`);
  const elsewhere = leave("elsewhere");
  symlinkSync(join(above, elsewhere), join(above, `sluice-sessions-${mark}-linked`));
  writeFileSync(join(above, `sluice-sessions-${mark}-file`), "");
  const program = start({ SLUICE_SESSIONS: join(above, used) });
  rmSync(makeOwnFolder("relay", above), { recursive: true });
  expect(readdirSync(join(above, used))).toEqual(["word"]);
  await end(program);
  rmSync(makeOwnFolder("relay", above), { recursive: true });
  const left = [elsewhere, `sluice-sessions-${mark}-file`, `sluice-sessions-${mark}-linked`];
  expect(readdirSync(above)).toEqual(left);
  expect(readdirSync(join(above, elsewhere))).toEqual(["word"]);
});

it("the id of a process that was given away again protects nobody", () => {
  const [system, pid] = ownerMark(process.pid)!.split("-");
  leave(`sluice-sessions-${system}-${pid}-0-abcdef`);
  expect(readdirSync(above)).toHaveLength(1);
  rmSync(makeOwnFolder("sessions", above), { recursive: true });
  expect(readdirSync(above)).toEqual([]);
});
