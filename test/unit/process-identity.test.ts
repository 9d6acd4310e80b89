/** Identities of processes: a process id alone says nothing. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { formatIdentity, identityOf, isThere, parseIdentity } from "../../server/process-identity.ts";
import { waitFor } from "../support/wait-for.ts";

test("a process is itself until it is dead, and another with its id never is", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const identity = identityOf(child.pid!)!;
  expect(isThere(identity)).toBe(true);
  expect(isThere({ ...identity, startTicks: "1" })).toBe(false);
  expect(isThere({ ...identity, boot: "00000000" })).toBe(false);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(isThere(identity)).toBe(false);
  expect(identityOf(child.pid!)).toBeUndefined();
});

test("a dead process that its parent has not reaped holds nothing, and counts as gone", async () => {
  // The shell becomes a program that never waits for the child which it was given.
  const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"]);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(line);
  await waitFor("the child to be dead", () => {
    const identity = identityOf(pid);
    return identity === undefined || !isThere(identity);
  });
  parent.kill("SIGKILL");
});

test("an identity is written as a file's name and read again; anything else is none", () => {
  const identity = { pid: 4711, startTicks: "123456789", boot: "0a1b2c3d" };
  expect(parseIdentity(formatIdentity(identity))).toEqual(identity);
  for (const text of ["", "4711", "a.b.c", "1.2", "1.2.3/4"]) expect(parseIdentity(text)).toBeUndefined();
});
