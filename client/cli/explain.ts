/** `sluice explain`: what would become of a request, without making it. */
import { type Command, Option } from "commander";
import { allocateRequest } from "../allocate-options.ts";
import { type Explanation, explanationOf, type SliceInfo } from "../explanation.ts";
import { ExitCode, ExitError } from "./failure.ts";
import {
  addJsonOption,
  addServerOption,
  addShareOptions,
  type JsonOptions,
  type ServerOptions,
  type ShareFlags,
  shareOf,
} from "./options.ts";
import { computeText, print, printJson, sizeText } from "./output.ts";
import { describeEveryReason, describeReason, describeStart } from "./place.ts";
import { actOn, things, withFleet } from "./servers.ts";

export function addExplainCommand(program: Command): void {
  const command = program
    .command("explain")
    .description("tell what would become of a request, and why, without making it");
  command.addOption(
    new Option("--queued <request>", "instead: why this request of `sluice leases` waits").conflicts([
      "memory",
      "fraction",
    ]),
  );
  addJsonOption(addServerOption(addShareOptions(command)));
  command.addHelpText(
    "after",
    `
Without -p or -m it is about whole devices. Shows where the request would go,
or for every device why not, and which leases would have to end first.

Exit codes: 0 when it would be granted now; 75 when it would have to wait; 2 for
bad usage; 1 when it could never be served.

Examples:
  sluice explain -m 40GiB --filter 'device.name~A100'
  sluice explain -n 2 --mode exclusive --policy topology --json
  sluice explain --queued lease-3dff3cfda9e43e3c`,
  );
  command.action(async (options: ServerOptions & JsonOptions & ShareFlags & { readonly queued?: string }) => {
    const { queued, processes } = options;
    if (queued !== undefined) {
      const why = await actOn(options, { name: queued, kind: things.lease }, (control, id) =>
        control.explain({ queuedId: id }),
      );
      return tell([{ explanation: explanationOf(why) }], options);
    }
    const wish = allocateRequest({ ...shareOf(options), wait: "30d" }, { leases: processes });
    const explained = await withFleet(options, (fleet) => fleet.explain(wish));
    tell(
      explained.map(({ control: { name, address }, answer }) => ({ name, address, explanation: answer })),
      options,
    );
  });
}

interface Explained {
  readonly explanation: Explanation;
  /** Of the server; not there for a request that waits on one. */
  readonly name?: string;
  readonly address?: string;
}

/** The best answer comes first, and is what a request would get. */
function tell(explained: readonly Explained[], { json }: JsonOptions): never {
  const best = explained[0]!.explanation;
  if (json) {
    const [first, ...others] = explained.map(({ explanation, address }) => ({
      ...explanation,
      ...(address === undefined ? {} : { server: address }),
    }));
    printJson({ ...first, ...(others.length === 0 ? {} : { others }) });
  } else {
    const texts = explained.map(({ explanation, name }) =>
      explained.length === 1 ? describe(explanation) : `${name}: ${describe(explanation)}`,
    );
    print(texts.join("\n"));
  }
  throw new ExitError(exitCodes[best.outcome]);
}

const exitCodes = { granted: ExitCode.OK, queued: ExitCode.NO_CAPACITY, refused: ExitCode.FAILED } as const;

/** A slice with all that it takes from its device. */
const describeSlice = ({ deviceId, memoryBytes, overheadBytes, compute }: SliceInfo): string => {
  const beside = overheadBytes === 0 ? "" : `, and ${sizeText(overheadBytes)} beside it`;
  return `  ${sizeText(memoryBytes)}${compute === 0 ? "" : ` and ${computeText(compute)} of the time`} of ${deviceId}${beside}`;
};

function describe(explanation: Explanation): string {
  if (explanation.outcome === "granted") {
    const { slices, warnings } = explanation;
    return ["It would be granted now:", ...slices.map(describeSlice), ...warnings].join("\n");
  }
  const reasons = describeEveryReason(explanation.reasons, describeReason).map((sentence) => `  ${sentence}`);
  if (explanation.outcome === "refused") {
    const { code, message, remedy } = explanation;
    return [`It would be refused: ${message} (${code}) ${remedy}`, ...reasons].join("\n");
  }
  const { position, startsAtMs, blockingLeaseIds } = explanation;
  const start = startsAtMs === undefined ? "" : `, ${describeStart(startsAtMs)} if nobody else were served before`;
  const blockers =
    blockingLeaseIds.length === 0 ? [] : [`What would have to end first: ${blockingLeaseIds.join(", ")}.`];
  return [`It would wait at place ${position}${start}.`, ...reasons, ...blockers].join("\n");
}
