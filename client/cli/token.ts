/** `sluice token create`, `list` and `revoke`: who may use the server, and as what. A token is shown once and never taken as an argument. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { type Command, Option } from "commander";
import type { CreateTokenResponse__Output as Created } from "../../proto/generated/sluice/v1/CreateTokenResponse.ts";
import type { Token__Output as Token } from "../../proto/generated/sluice/v1/Token.ts";
import { SluiceError, wordsOf } from "../../shared/errors.ts";
import { admin, type Control } from "../control.ts";
import type { FromServer } from "../fleet/index.ts";
import type { Bundle } from "../server-access.ts";
import {
  ADMINS_ALONE,
  addJsonOption,
  addServerOption,
  type JsonOptions,
  READERS_ALONE,
  readAddress,
  readLifetime,
  type ServerOptions,
} from "./options.ts";
import { note, print, printJson, terminalWidth } from "./output.ts";
import { actOn, changeEach, itemsOf, serversTable, things, withFleet, withServers } from "./servers.ts";
import { type Column, formatTable } from "./table.ts";

interface CreateOptions extends Pick<ServerOptions, "server">, JsonOptions {
  readonly tenant: string;
  readonly admin?: true;
  readonly role?: keyof typeof roles;
  readonly expires?: number;
  readonly note?: string;
  /** The file to write, not the one to use. */
  readonly bundle?: string;
  readonly address?: string;
}

const roles = { tenant: "ROLE_TENANT", monitor: "ROLE_MONITOR", admin: "ROLE_ADMIN" } as const;

const columns: readonly Column[] = [
  { title: "TOKEN" },
  { title: "TENANT", shrinkTo: 6 },
  { title: "ROLE" },
  { title: "NOTE", shrinkTo: 6 },
  { title: "CREATED" },
  { title: "EXPIRES" },
  { title: "USED" },
  { title: "STATE" },
];

export function addTokenCommand(program: Command): void {
  const token = program.command("token").description("make, list and revoke tokens (admin)");
  addCreate(token);
  addList(token);
  addRevoke(token);
}

function addCreate(parent: Command): void {
  const command = parent
    .command("create")
    .description("make a token; it is shown once")
    .requiredOption("--tenant <name>", "who is charged for what its owner uses")
    .addOption(
      new Option("--role <role>", "what its owner may: borrow, read all and change nothing, or all (default: tenant)")
        .choices(Object.keys(roles))
        .conflicts("admin"),
    )
    .option("--admin", "the same as --role admin")
    .option("--expires <duration>", "how long it is good, like 30d (default: one year)", readLifetime)
    .option("--note <text>", "what it is for")
    .option("--bundle <file>", "write address, CA and token to this new file instead, for SLUICE_BUNDLE")
    .option("--address <host:port>", "the server's address in the bundle (default: the one used now)", readAddress);
  addJsonOption(addServerOption(command, { bundle: false }));
  command.addHelpText(
    "after",
    `
The first token of a server is an admin's, made on the server's own machine
while it asks for none; from then on it asks everybody for one. A server that
asks from its start has made an admin's itself: in the file admin-token of its
--state. A monitor's token reads what admins read, /metrics too.
The token goes to standard output, everything else to standard error.
Each server has tokens of its own: of several servers it makes one on each, and
the bundle has all of them. It is a list of the bundles of each.
${ADMINS_ALONE}

Examples:
  sluice token create --tenant ops --admin > admin.token
  export SLUICE_TOKEN_FILE=$PWD/admin.token
  sluice token create --tenant alice --bundle alice.json \\
    --address gpus.example:7460
  SLUICE_BUNDLE=alice.json sluice list
  jq -s . gpu1.json gpu2.json > rack.json
  sluice token create --tenant prometheus --role monitor --note scraping`,
  );
  command.action(create);
}

async function create({ bundle, ...options }: CreateOptions): Promise<void> {
  // First the file: a token that nobody has seen is of no use.
  const file = bundle === undefined ? undefined : openBundle(bundle);
  try {
    await withFleet({ server: options.server }, async (fleet) => {
      if (fleet.only === undefined && options.address !== undefined)
        throw new SluiceError("BAD_ARGUMENT", "An [--address] is one server's, and there are several.");
      const createAt = (control: Control) =>
        control.ask(admin.CreateToken, {
          tenant: options.tenant,
          role: options.admin ? "ROLE_ADMIN" : roles[options.role ?? "tenant"],
          lifetimeMs: options.expires ?? 0,
          note: options.note ?? "",
        });
      await changeEach(fleet, createAt, (answers) => {
        if (file === undefined) show(answers, options);
        else {
          const bundles = answers.map((each) => bundleOf(each, options.address));
          writeSync(file.descriptor, `${JSON.stringify(bundles.length === 1 ? bundles[0] : bundles, undefined, 2)}\n`);
          file.done();
          showBundle(answers, { ...options, bundle: bundle! });
          for (const { server } of bundles) {
            if (/^(localhost|127\.|\[?::1)/.test(server))
              note(`The bundle's address [${server}] is good on this machine only.`);
          }
        }
      });
    });
  } finally {
    file?.close();
  }
}

function openBundle(path: string) {
  let descriptor: number;
  try {
    descriptor = openSync(path, "wx", 0o600);
  } catch (error) {
    throw new SluiceError("BAD_ARGUMENT", `The file [${path}] cannot be made [${wordsOf(error)}].`);
  }
  let isDone = false;
  return {
    descriptor,
    done: (): void => {
      isDone = true;
    },
    close: (): void => {
      closeSync(descriptor);
      if (!isDone) rmSync(path, { force: true });
    },
  };
}

function bundleOf({ control, answer: { tls, ca, token } }: FromServer<Created>, address: string | undefined): Bundle {
  const server = address ?? control.address;
  return tls ? { server, ca, token } : { server, token };
}

function showBundle(
  answers: readonly FromServer<Created>[],
  { bundle, json, tenant }: JsonOptions & { readonly bundle: string; readonly tenant: string },
): void {
  const infos = answers.map(({ control, answer }) => ({ server: control.address, info: plain(answer.info) }));
  if (json) printJson({ bundle, ...infos[0], ...(infos.length === 1 ? {} : { others: infos.slice(1) }) });
  else {
    for (const each of answers.slice(0, -1)) note(sentenceOf(each, answers));
    const last = sentenceOf(answers.at(-1)!, answers);
    const what = answers.length === 1 ? "It is" : "They are";
    note(`${last} ${what} in the file ${bundle}: give it to ${tenant}, for SLUICE_BUNDLE.`);
  }
}

function show(answers: readonly FromServer<Created>[], { json }: JsonOptions): void {
  const shown = answers.map(({ control, answer: { token, info } }) => ({
    token,
    info: plain(info),
    server: control.address,
  }));
  if (json) printJson({ ...shown[0], ...(shown.length === 1 ? {} : { others: shown.slice(1) }) });
  for (const each of json ? [] : answers) {
    note(`${sentenceOf(each, answers)} It is shown once:`);
    print(each.answer.token);
  }
}

/** With its server, where it is one of several. */
const sentenceOf = ({ control, answer }: FromServer<Created>, all: readonly unknown[]): string =>
  all.length === 1 ? sentence(answer) : `${control.name}: ${sentence(answer)}`;

const sentence = ({ info }: Created): string =>
  `The token ${info?.id} of ${info?.tenant} (${roleText(info)}) is good until ${day(info?.expiresAtMs ?? 0)}.`;

function addList(parent: Command): void {
  const command = parent.command("list").description("show the tokens that there are, without their secrets");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
${READERS_ALONE}

Examples:
  sluice token list
  sluice token list --json |
    jq -r '.tokens[] | select(.tenant == "alice") | .id'`,
  );
  command.action(async (options: ServerOptions & JsonOptions) => {
    await withFleet(options, async (fleet) => {
      const answers = await fleet.each((control) => control.ask(admin.ListTokens, {}));
      const items = itemsOf(answers, ({ tokens }) => tokens);
      if (options.json) printJson({ tokens: withServers(items).map(plain) });
      else if (items.length === 0) print("No tokens: the server asks for none.");
      else print(formatTable(...serversTable(fleet, { columns, items, row }), terminalWidth()));
    });
  });
}

function addRevoke(parent: Command): void {
  const command = parent
    .command("revoke")
    .description("make a token worthless, at once")
    .argument("<id>", "its id, the middle part of the token");
  addJsonOption(addServerOption(command));
  command.addHelpText(
    "after",
    `
What it had opened is closed, and the leases that it asked for end, with their
data connections; those of the tenant's other tokens live on.
${ADMINS_ALONE}

Examples:
  sluice token revoke 3f9c2a01b7de`,
  );
  command.action(async (text: string, options: ServerOptions & JsonOptions) => {
    // Who pastes the whole token means its id; the rest need not travel.
    const name = /^sluice_([0-9a-f]{12})_/.exec(text)?.[1] ?? text;
    const { info, leaseIds } = await actOn(options, { name, kind: things.token }, (control, id) =>
      control.ask(admin.RevokeToken, { tokenId: id }),
    );
    if (options.json) printJson({ info: plain(info), leaseIds });
    else print(`The token ${info?.id} of ${info?.tenant} is worthless now; what it had opened is closed.`);
    if (!options.json && leaseIds.length > 0) print(`Its leases end: ${leaseIds.join(", ")}.`);
  });
}

const roleText = (token: Token | null): string => (token?.role ?? "").replace("ROLE_", "").toLowerCase();

/** `active`, `expired` or `revoked`. */
function stateOf({ revokedAtMs, expiresAtMs }: Token): string {
  if (revokedAtMs > 0) return "revoked";
  return expiresAtMs <= Date.now() ? "expired" : "active";
}

const plain = (token: Token | null) =>
  token === null ? null : { ...token, role: roleText(token), state: stateOf(token) };

const day = (at: number): string => (at === 0 ? "-" : new Date(at).toISOString().slice(0, 10));

const row = (token: Token): string[] => [
  token.id,
  token.tenant,
  roleText(token),
  token.note || "-",
  day(token.createdAtMs),
  day(token.expiresAtMs),
  day(token.usedAtMs),
  stateOf(token),
];
