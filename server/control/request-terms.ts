/** What a request says about which devices and how, as the pool's words: mode, policy, priority, filters and labels. Checks all of it. */
import type { AllocateRequest__Output } from "../../proto/generated/sluice/v1/AllocateRequest.ts";
import type { PlacementPolicy } from "../../proto/generated/sluice/v1/PlacementPolicy.ts";
import type { SharingMode } from "../../proto/generated/sluice/v1/SharingMode.ts";
import { SluiceError } from "../../shared/errors.ts";
import { CONDITION_LENGTH_MAX, CONDITIONS_MAX } from "../../shared/limits.ts";
import { isPrintable } from "../../shared/printable.ts";
import { COMPUTE_WHOLE, type PoolRequest, PRIORITY_MAX, type Share, type Sharing } from "../pool/types.ts";

/** 0.29 times a thousand is a little less than 290. */
const ROUNDING = 1e-6;

const bad = (message: string): SluiceError => new SluiceError("BAD_ARGUMENT", message);

const modes = {
  SHARING_MODE_DYNAMIC: "dynamic",
  SHARING_MODE_EXCLUSIVE: "exclusive",
  SHARING_MODE_PROFILE: "profile",
} as const satisfies Partial<Record<SharingMode, Sharing["mode"]>>;

const policies = {
  PLACEMENT_POLICY_PACK: "pack",
  PLACEMENT_POLICY_SPREAD: "spread",
  PLACEMENT_POLICY_TOPOLOGY: "topology",
} as const satisfies Partial<Record<PlacementPolicy, NonNullable<PoolRequest["policy"]>>>;

/** The word for an enum's name; undefined where it is not set. A number is what this version has no name for. */
function wordOf<Words extends Record<string, string>>(what: string, words: Words, name: string | number) {
  if (typeof name === "string" && name.endsWith("_UNSPECIFIED")) return undefined;
  if (!Object.hasOwn(words, name)) throw bad(`The ${what} [${name}] is none of [${Object.values(words).join(", ")}].`);
  return words[name as keyof Words];
}

function checkConditions(what: string, texts: readonly string[]): readonly string[] {
  if (texts.length > CONDITIONS_MAX)
    throw bad(`A request has at most [${CONDITIONS_MAX}] ${what}s, and this one [${texts.length}].`);
  for (const text of texts) {
    if (text.length < 1 || text.length > CONDITION_LENGTH_MAX || !isPrintable(text)) {
      throw bad(`A ${what} has [${text.length}] characters, not 1 to ${CONDITION_LENGTH_MAX}, or control characters.`);
    }
  }
  return texts;
}

function checkLabels(what: string, texts: readonly string[]): readonly string[] {
  const wrong = checkConditions(what, texts).find((text) => !/^[\w.-]+(=.+)?$/.test(text));
  if (wrong !== undefined) throw bad(`The ${what} [${wrong}] is not written as KEY or KEY=VALUE.`);
  return texts;
}

export type RequestTerms = Pick<
  PoolRequest,
  "mode" | "policy" | "priority" | "filters" | "tolerate" | "avoid" | "reservation" | "compute"
>;

/** Priorities by the names that the server's admin has given them. */
export type PriorityClasses = ReadonlyMap<string, number>;

/**
 * The priority of a message that has it as a number or by its name.
 * @throws SluiceError BAD_ARGUMENT with the value
 */
export function priorityOf(
  wish: { readonly priority: number; readonly priorityClass: string },
  classes: PriorityClasses,
): number {
  const { priority, priorityClass } = wish;
  if (priorityClass !== "") {
    const found = classes.get(priorityClass);
    if (found !== undefined) return found;
    const name = priorityClass.replace(/[^\w.-]/g, "?").slice(0, 64);
    throw bad(`The priority class [${name}] is none of the server's [${[...classes.keys()].join(", ")}].`);
  }
  if (!Number.isInteger(priority) || Math.abs(priority) > PRIORITY_MAX) {
    throw bad(`The priority [${priority}] is not a whole number from -${PRIORITY_MAX} to ${PRIORITY_MAX}.`);
  }
  return priority;
}

/**
 * Filters are read by the pool, which names their faults.
 * @throws SluiceError BAD_ARGUMENT with the field and its value
 */
export function termsOf(request: AllocateRequest__Output, classes: PriorityClasses): RequestTerms {
  const { filters, tolerations, avoidedLabels } = request;
  const priority = priorityOf(request, classes);
  const reservation = request.reservationId;
  const mode = wordOf("mode", modes, request.mode) ?? (reservation === "" ? undefined : "profile");
  const policy = wordOf("policy", policies, request.policy);
  const compute = computeOf(request);
  return {
    ...(compute === 0 ? {} : { compute }),
    ...(mode === undefined ? {} : { mode }),
    ...(policy === undefined ? {} : { policy }),
    ...(reservation === "" ? {} : { reservation }),
    ...(priority === 0 ? {} : { priority }),
    ...(filters.length === 0 ? {} : { filters: checkConditions("filter", filters) }),
    ...(tolerations.length === 0 ? {} : { tolerate: checkLabels("toleration", tolerations) }),
    ...(avoidedLabels.length === 0 ? {} : { avoid: checkLabels("avoided label", avoidedLabels) }),
  };
}

/** Thousandths, rounded down, so that three thirds fit; 0 where none are asked for. */
function computeOf({ compute }: AllocateRequest__Output): number {
  if (compute === 0) return 0;
  if (compute >= 1 / COMPUTE_WHOLE && compute <= 1) return Math.floor(compute * COMPUTE_WHOLE + ROUNDING);
  throw bad(`The compute share [${compute}] is not at least [${1 / COMPUTE_WHOLE}] and at most 1.`);
}

/** @throws SluiceError BAD_ARGUMENT with the value */
export function shareOf(request: AllocateRequest__Output): Share {
  const { share, memoryBytes = 0, fraction = 0, mode, reservationId } = request;
  if (share === "memoryBytes") {
    if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 1) {
      throw bad(`A slice of [${memoryBytes}] bytes is not from 1 to 2^53 - 1 bytes.`);
    }
    return { kind: "bytes", bytes: memoryBytes };
  }
  if (share === "fraction") {
    if (!(fraction > 0 && fraction <= 1)) throw bad(`The fraction [${fraction}] is not above 0 and at most 1.`);
    return { kind: "fraction", fraction };
  }
  if (mode === "SHARING_MODE_EXCLUSIVE") return { kind: "fraction", fraction: 1 };
  // The least there is: every fixed slice has that.
  if (mode === "SHARING_MODE_PROFILE" || reservationId !== "") return { kind: "bytes", bytes: 1 };
  throw bad("The request names neither the memory nor the fraction that it wants.");
}

/** The enum's name for a device's mode. */
export const modeMessage = (mode: Sharing["mode"]): SharingMode =>
  `SHARING_MODE_${mode.toUpperCase() as Uppercase<Sharing["mode"]>}`;
