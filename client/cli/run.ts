/**
 * `sluice run`: allocates, starts a command whose Sluice library then works under that lease, and gives the share back whatever
 * happens. The heartbeats are here, so the lease ends with this process even when it is killed.
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { resolve as absolute } from "node:path";
import type { Command } from "commander";
import { SluiceError } from "../../shared/errors.ts";
import { bracketed } from "../address.ts";
import { allocateRequest } from "../allocate-options.ts";
import type { Control, QueuePlace } from "../control.ts";
import { BUNDLE_VARIABLE, formatLeaseKeys, LEASE_VARIABLE, SERVER_VARIABLE } from "../environment.ts";
import { Holder, type LeaseNotice } from "../holder.ts";
import { gainsRights, obstacleOf, obstacleTo } from "./command.ts";
import { DataRelay } from "./data-relay.ts";
import { ExitError, sentence } from "./failure.ts";
import { checkCount, type GrantedLease, type GrantedLeases, leasesOf, releaseQuietly, shareText } from "./granted.ts";
import { interposerEnvironment } from "./interposer.ts";
import { addRequestOptions, addServerOption, type ServerOptions, type ShareFlags, shareOf } from "./options.ts";
import { durationText, note } from "./output.ts";
import { makeOwnFolder } from "./own-folder.ts";
import { tellWaiting } from "./place.ts";
import { withFleet } from "./servers.ts";
import {
  beforeStandstill,
  exitOfSignal,
  interruptible,
  isFromKey,
  outlivesTerminal,
  SignalForwarder,
} from "./signals.ts";

const UNUSED =
  "No process of the command has used its share. Sluice's libraries are found through LD_LIBRARY_PATH, so not by programs that are linked statically, have rights of their own (setuid) or run without it, as under sudo, `env -i` or in a container.";
const gainedText = (file: string): string =>
  `The command [${file}] takes another user's rights (setuid), so the system keeps Sluice's libraries from it and from what it starts: CUDA programs find no device there. Start \`sluice run\` behind it, like \`sudo sluice run ...\`.`;

type RunOptions = ServerOptions & ShareFlags;

export function addRunCommand(program: Command): void {
  const command = program
    .command("run")
    .description("run a command with a share of the pool, and give it back at its end")
    .usage("[options] -- COMMAND [ARGUMENTS...]")
    .argument("<command...>", "the command and its arguments")
    .passThroughOptions();
  addServerOption(addRequestOptions(command));
  command.addHelpText(
    "after",
    `
Without -p or -m it asks for whole devices, for each process. The library in the command finds its
lease in ${LEASE_VARIABLE}.

One process at a time uses a share; another waits for it. A command that has
several CUDA processes at once (MPI, workers, a shell's background jobs) needs
--processes: as many shares, all of one server, granted together or not at all.
Each process takes one, sees its devices from 0 on, and leaves it to the next.

Of several servers one serves it: the one on which it fits best (--policy), or
the first that has room. --filter server.addr=gpu1 names one of them.

Exit codes: the command's own (128 + number for a signal); 75 when there is no
capacity within --wait; 2 for bad usage; 1 otherwise.

Examples:
  sluice run -m 4GiB -- node train.js
  sluice run -n 2 -p 0.5 --wait 10m -- python3 fit.py --epochs 3
  sluice run --processes 2 -m 4GiB -- mpirun -n 2 ./solve
  sluice run -n 4 --mode exclusive --policy topology -- node train.js
  sluice run -m 4GiB --filter 'device.name~A100' --filter label.zone=a -- ./fit`,
  );
  command.action(run);
}

async function run(words: string[], options: RunOptions): Promise<void> {
  // Commander leaves the `--` where options are passed through.
  const [file, ...args] = words[0] === "--" ? words.slice(1) : words;
  if (file === undefined) throw new SluiceError("BAD_ARGUMENT", "No command is given after [--].");
  // Nobody waits an hour to hear of a slip of the pen.
  const obstacle = await obstacleTo(file, process.env["PATH"]);
  if (obstacle !== undefined) {
    note(obstacle.message);
    throw new ExitError(obstacle.exitCode);
  }
  const { processes, bundle } = options;
  const request = allocateRequest(shareOf(options), { leases: processes });
  let hasWaited = false;
  const onQueued = (place: QueuePlace): void => {
    hasWaited = true;
    tellWaiting.onQueued(place);
  };
  const exitCode = await withFleet(options, (fleet) =>
    interruptible((signal) => fleet.request({ request, signal, ...tellWaiting, onQueued }), {
      finish: ({ control, granted }) => {
        const grant = leasesOf(granted);
        const where = fleet.only === undefined ? ` on ${control.name}` : "";
        if (hasWaited)
          note(
            `The wait is over: the command starts with ${shareText(grant.leases.map(({ lease }) => lease))}${where}.`,
          );
        return runUnder(grant, { control, processes, bundle, file, args });
      },
      undo: async ({ control, granted }) => {
        await releaseQuietly(control, leasesOf(granted).leases);
      },
    }),
  );
  throw new ExitError(exitCode);
}

interface Job {
  readonly control: Control;
  readonly processes: number;
  readonly bundle: string | undefined;
  readonly file: string;
  readonly args: readonly string[];
}

/** Keeps leases alive, and tells what becomes of them. */
class Held {
  readonly #lost = new Set<GrantedLease>();
  /** What was said last of each. */
  readonly #told = new Map<GrantedLease, string>();
  readonly #holders: readonly Holder[];
  readonly #leases: readonly GrantedLease[];

  constructor(control: Control, { leases, connection }: GrantedLeases) {
    this.#leases = leases;
    this.#holders = leases.map(
      (one) =>
        new Holder({
          control,
          key: one.key,
          connection,
          onNotice: (notice) => this.#tell(one, noticeText(one.lease.id, notice)),
          onEnded: (error) => {
            this.#lost.add(one);
            const left = leases.length - this.#lost.size;
            const rest = leases.length === 1 ? "" : ` [${left}] of [${leases.length}] leases are left.`;
            note(`${sentence(error)}${rest}`);
          },
        }),
    );
  }

  /** Says once what a server says again to whoever comes back to it. */
  #tell(one: GrantedLease, text: string): void {
    if (this.#told.get(one) !== text) note(text);
    this.#told.set(one, text);
  }

  /** Those that nobody has ended. */
  stop(): readonly GrantedLease[] {
    for (const holder of this.#holders) holder.stop();
    return this.#leases.filter((one) => !this.#lost.has(one));
  }
}

function noticeText(leaseId: string, { kind, message }: LeaseNotice): string {
  if (kind === "SUSPENDED") return `The lease ${leaseId} is suspended, and the command waits: ${message}`;
  if (kind === "RESUMED") return `The lease ${leaseId} goes on.`;
  return `Notice about the lease ${leaseId}: ${message}`;
}

/** Runs the command under the leases and releases them, however the command ends. */
async function runUnder(grant: GrantedLeases, job: Job): Promise<number> {
  for (const warning of grant.warnings) note(warning);
  // From here on, so that no signal ends this process between the grant and the command's start.
  const signals = new SignalForwarder();
  const held = new Held(job.control, grant);
  const { heartbeatTimeoutMs } = grant.connection;
  // Whoever stands still sends no heartbeats.
  const stopTelling = beforeStandstill(() => {
    if (heartbeatTimeoutMs > 0)
      note(`The command stands still, and loses its share after [${durationText(heartbeatTimeoutMs)}] of it.`);
  });
  let relay: DataRelay | undefined;
  let usesLibraries = false;
  const sessions = sessionsFolder();
  try {
    await checkCount(job.control, grant, job.processes);
    const { dataEndpoints } = grant.connection;
    relay = await relayTo(job.control, dataEndpoints);
    const libraries = await interposerEnvironment({
      env: process.env,
      server: job.control.address,
      dataEndpoints,
      devices: grant.leases[0]!.lease.slices.length,
      relay: relay?.endpoint,
      sessions,
      tell: note,
    });
    usesLibraries = Object.keys(libraries).length > 0;
    if (usesLibraries && (await gainsRights(job.file, process.env["PATH"]))) note(gainedText(job.file));
    return await runCommand(job, signals, {
      ...process.env,
      ...libraries,
      [LEASE_VARIABLE]: formatLeaseKeys(grant.leases.map(({ key }) => key)),
      [SERVER_VARIABLE]: job.control.address,
      ...(job.bundle === undefined ? {} : { [BUNDLE_VARIABLE]: absolute(job.bundle) }),
    });
  } finally {
    signals.close();
    stopTelling();
    relay?.close();
    if (sessions !== undefined) rmSync(sessions, { recursive: true, force: true });
    const calls = await releaseQuietly(job.control, held.stop());
    // A script that runs all kinds of commands this way is not told.
    if (usesLibraries && calls === 0 && process.stderr.isTTY) note(UNUSED);
  }
}

/** Where a process that dies without a word leaves its session to the next one; undefined where there is no place for it, and the next one waits. */
function sessionsFolder(): string | undefined {
  try {
    return makeOwnFolder("sessions");
  } catch {
    return undefined;
  }
}

/** Programs that speak plain sockets only need a way of their own to a server with TLS. */
async function relayTo(control: Control, endpoints: readonly string[]): Promise<DataRelay | undefined> {
  if (endpoints.some((endpoint) => endpoint.startsWith("tcp:"))) return undefined;
  const server = { tls: control.tls, submit: () => control.submit() };
  return await DataRelay.open({ endpoints, host: bracketed(control.server.host), server });
}

function runCommand(job: Job, signals: SignalForwarder, env: NodeJS.ProcessEnv): Promise<number> {
  if (signals.received !== undefined) throw exitOfSignal(signals.received);
  const ignoring = ["sh", "-c", 'trap "" HUP; exec "$0" "$@"'];
  const [file, ...args] = [...(outlivesTerminal() ? ignoring : []), job.file, ...job.args] as [string, ...string[]];
  const child = spawn(file, args, { stdio: "inherit", env });
  signals.forward((signal) => {
    // Twice would be more than was asked.
    if (!isFromKey(signal)) child.kill(signal);
  });
  return new Promise<number>((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return;
      const obstacle = obstacleOf(job.file, error);
      note(obstacle.message);
      resolve(obstacle.exitCode);
    });
    child.once("exit", (code, signal) => (signal === null ? resolve(code ?? 1) : reject(exitOfSignal(signal))));
  });
}
