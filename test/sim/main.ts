/**
 * The simulator: `npm run sim [-- --events N]`, `SEED=…` for a run again. Runs every world of plans.ts with its checks after each
 * event, then the canaries, whose planted bugs must be found. Equal seeds give equal runs. The seed is the commit's hash by default.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { rounds } from "../support/rounds.ts";
import { canaries, plans } from "./plans.ts";
import { World, type WorldOptions } from "./world.ts";

/** Which part of all events each world gets. */
const parts = { everything: 0.3, suspending: 0.3, crowded: 0.2, fair: 0.2 } as const;

/** A planted bug that is not found within so many events is missed. */
const CANARY_EVENTS_MAX = 100_000;

/** How far a tenant's part may be from its weight's. */
const FAIR_WITHIN = 0.05;

function commitHash(): string {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "1";
  }
}

/** A seed is a number, or a hash of which the first eight digits count. */
export function parseSeed(text: string): number {
  const seed = /^\d{1,10}$/.test(text) ? Number(text) : Number.parseInt(text.slice(0, 8), 16);
  if (!Number.isSafeInteger(seed)) throw new Error(`SEED is neither a number nor a hash [${text}].`);
  return seed;
}

/** How each tenant's held memory relates to what its weight promises; 1 is exact. */
function shares(world: World): Map<string, number> {
  const weights = world.options.tenants.reduce((sum, tenant) => sum + tenant.weight, 0);
  const held = [...world.held.values()].reduce((sum, one) => sum + one, 0);
  return new Map(
    world.options.tenants.map(({ name, weight }) => [name, (world.held.get(name) ?? 0) / held / (weight / weights)]),
  );
}

/** Runs one world to its end and returns a line about it; throws what its checks find. */
export function simulate(
  name: keyof typeof plans,
  options: { readonly seed: number; readonly events: number },
): string {
  const plan: Omit<WorldOptions, "seed"> = plans[name];
  const world = new World({ ...plan, seed: options.seed });
  const started = performance.now();
  world.run(options.events);
  let fairness = "";
  if (name === "fair") {
    for (const [tenant, share] of shares(world)) {
      fairness += ` ${tenant} ${share.toFixed(3)}`;
      if (Math.abs(share - 1) > FAIR_WITHIN)
        throw new Error(`Invariant broken: tenant ${tenant} has [${share}] of its share.`);
    }
  }
  world.finish();
  const { events, granted, deaths, digest } = world.daemon;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  return `${name}: ${events} events, ${granted} grants, ${deaths} daemon deaths, ${seconds} s, digest ${digest >>> 0}${fairness && `, shares${fairness}`}`;
}

/** Runs a canary until its bug is found and returns the finding; undefined when it is missed. */
export function hunt(canary: (typeof canaries)[number], seed: number): string | undefined {
  const plan: Omit<WorldOptions, "seed"> = canary.plan;
  const world = new World({ ...plan, seed });
  try {
    world.run(CANARY_EVENTS_MAX);
    return undefined;
  } catch (error) {
    return `found after ${world.daemon.events} events: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function main(): number {
  const { values } = parseArgs({ options: { events: { type: "string", default: String(rounds(1_000_000)) } } });
  const total = Number(values.events);
  const text = process.env["SEED"] ?? commitHash();
  const seed = parseSeed(text);
  console.log(`seed ${seed} (SEED=${text})`);
  let failed = 0;
  for (const [name, part] of Object.entries(parts) as [keyof typeof parts, number][]) {
    try {
      console.log(simulate(name, { seed, events: Math.round(total * part) }));
    } catch (error) {
      failed++;
      console.log(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  for (const canary of canaries) {
    const found = hunt(canary, seed);
    if (found === undefined) failed++;
    console.log(`canary "${canary.bug}": ${found ?? "MISSED"}`);
  }
  if (failed > 0) console.log(`${failed} failed. Again: SEED=${seed} npm run sim -- --events ${total}`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.url === `file://${process.argv[1]}`) process.exitCode = main();
