/** The options of `sluice serve` as commander reads them, with their help. What they mean is config.ts's. */
import { Command, Option } from "commander";
import { printableComplaint } from "../shared/printable.ts";
import { policies, type RawOptions } from "./config.ts";
import { computePolicies } from "./executor/turns.ts";
import { logLevels } from "./log.ts";

const examples = `
Examples:
  sluice serve                         every CUDA device, else one cpu device,
                                       for this machine only
  sluice serve --device cpu:4x2GiB     four devices of 2 GiB
  sluice serve --device cuda:0,mode=exclusive --label zone=a \\
    --device cuda:1,profile=8x10GiB
  sluice serve --device null:2x16GiB --listen 127.0.0.1:0 --data 127.0.0.1:0
  sluice serve --config sluice.json --grace 2m
                                       options of the command line win

First steps: on loopback the server asks for no tokens until one is made, and
callers on its machine are admins; make the first one there with
\`sluice token create --tenant ops --admin\`. Where it asks for tokens from the
start, it makes an admin's itself: shown on the terminal, and in DIR/admin-token
of --state DIR, for its owner alone.

Signals: SIGTERM ends all leases after the grace. SIGUSR2 ends the server alone,
for an upgrade: jobs run on, and the next server on the same --state takes them
up. SIGHUP reads the files of --tls-cert, --tls-key and --tls-ca again, for new
connections; what runs goes on, and bad files change nothing. As at SIGTERM, a
server also ends when the terminal closes from which it was started (unless all
it reads and writes is elsewhere, as with nohup), when npx that started it is
gone (npx hands no signal on), and when the Node program that forked it
(child_process.fork) is gone or disconnects.`;

function serveCommand(): Command {
  const command = new Command("sluice serve")
    .configureOutput({
      outputError: (text, write) => write(printableComplaint(text.replace(/^error: /, "sluice serve: "))),
    })
    .description("Lends the devices of this machine. Prints one line when it is ready; logs go to stderr.")
    .option("--config <file>", "JSON file with the options below by their names")
    .option("--listen <host:port>", "gRPC address; port 0 picks a free one (default: 127.0.0.1:7460)")
    .option("--data <host:port>", "address of the data connections (default: 127.0.0.1:7461)")
    .option("--admin <host:port>", "address of the dashboard (default: 127.0.0.1:7462)")
    .option(
      "--state <dir>",
      "where the server keeps its state (default: $XDG_STATE_HOME/sluice, else ~/.local/state/sluice)",
    )
    .option(
      "--device <spec...>",
      "devices to lend: cuda, cuda:0, cpu, cpu:4x2GiB, null:2x16GiB, each with ,mode=exclusive ,profile=8x10GiB ,label=KEY=VALUE ,taint=KEY, a cpu also with ,capability=8.9; may be repeated (default: auto, every CUDA device, else one cpu)",
    )
    .option("--label <key=value...>", "a label of every device, for filters; may be repeated")
    .addOption(
      new Option("--policy <policy>", "which devices a request gets that names no policy (default: pack)").choices(
        policies,
      ),
    )
    .option(
      "--priority-class <name=number...>",
      "a name for a priority beside low=-50, normal=0 and high=50; may be repeated",
    )
    .option("--usage-half-life <duration>", "after this time past use weighs half in the fair share (default: 1d)")
    .option("--ledger-kept <duration>", "how long ended leases count in `sluice usage`; 0 for ever (default: 400d)")
    .option("--queue-entries <count>", "requests that may wait at once (default: 100000)")
    .option("--queue-passes <count>", "how many may be served before the first although they delay it (default: 16)")
    .option(
      "--preemption [how]",
      "let leases of lower priority make room for the first of the queue: end ends them after a notice, suspend lets them go on when there is room again (default: end, where it is given)",
    )
    .option("--preemption-grace <duration>", "how long a lease that ends for another still has (default: 30s)")
    .option(
      "--idle-timeout <duration>",
      "a lease without calls for this long is warned, then ends; 0 for never (default: 0)",
    )
    .option("--idle-notice <duration>", "how long before its end such a lease is warned (default: 1m)")
    .addOption(
      new Option(
        "--compute-policy <policy>",
        "what a compute share is: guaranteed (at least so much), fixed (never more either), or best-effort (not held) (default: guaranteed)",
      ).choices(computePolicies),
    )
    .option("--grace <duration>", "how long running leases may go on after SIGTERM (default: 30s)")
    .option(
      "--orphan-timeout <duration>",
      "how long jobs run on when the server dies and none comes back (default: 10m)",
    )
    .option(
      "--session-grace <duration>",
      "how long a session waits for its client when its connection breaks; 0: not at all (default: 30s)",
    )
    .option("--kernel-timeout <duration>", "a kernel that runs longer is stopped; 0 for no bound (default: 5m)")
    .option("--heartbeat-timeout <duration>", "a lease without a heartbeat for this long ends (default: 30s)")
    .option("--health-interval <duration>", "how often GPUs are asked how they are (default: 5s)")
    .option("--spare-executors <count>", "executors kept warm for the next lease (default: 1)")
    .addOption(new Option("--log-level <level>", "what to log (default: info)").choices(logLevels));
  return addAccessOptions(addDiskOptions(command))
    .addHelpText("after", examples)
    .allowExcessArguments(false)
    .exitOverride();
}

/** What is kept on disk beside the state. */
const addDiskOptions = (command: Command): Command =>
  command
    .option(
      "--cache-bytes <size>",
      "what is kept on disk of each tenant's programs and cached uploads; 0 keeps nothing (default: 4GiB)",
    )
    .option(
      "--shared-cache",
      "one cache for all tenants: each can find out, by its hash, whether another sent some bytes",
    )
    .option(
      "--suspend-dir <dir>",
      "where the memory of suspended leases is saved, encrypted; its disk needs room for what they hold (default: below --state)",
    );

/** Who may reach the server, and how often. */
const addAccessOptions = (command: Command): Command =>
  command
    .option("--tls-cert <file>", "certificate of the server, in PEM, with those up to its CA behind it")
    .option("--tls-key <file>", "its private key, in PEM")
    .option("--tls-ca <file>", "the CA that clients trust, and with --tls-mutual the one of their certificates")
    .option("--tls-mutual", "let in only clients with a certificate of --tls-ca")
    .option(
      "--require-token",
      "ask for tokens from the start, also on loopback; always so where other machines reach it",
    )
    .option("--connections <count>", "connections to the gRPC port and to the admin port at once (default: 4096)")
    .option("--connections-per-address <count>", "of them from one address (default: 512)")
    .option("--requests-per-second <count>", "requests of one token on average; 0 for no bound (default: 2000)")
    .option(
      "--insecure",
      "allow addresses that other machines can reach, without TLS and without tokens, and GPUs whose kernels reach the host's memory",
    );

/**
 * The options by their own names, which commander turns into camel case.
 * @throws CommanderError once commander has said what is wrong, or shown the help
 */
export function readOptions(argv: readonly string[]): RawOptions & { config?: string } {
  const command = serveCommand().parse(argv, { from: "user" });
  const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(command.opts()).map(([name, value]) => [kebab(name), value]));
}
