/**
 * Broken PTX of every kind against the loader: whatever the text, the answer is a module or a SluiceError, in bounded time.
 * FUZZ_SECONDS bounds the run, SEED replays one.
 */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GlobalsWindow } from "../../server/device/cpu/globals.ts";
import { loadImage } from "../../server/device/cpu/module.ts";
import { planMemory } from "../../server/device/cpu/run/layout.ts";
import { SluiceError } from "../../shared/errors.ts";
import { ARENA_BASE } from "../../shared/limits.ts";
import { createRandom } from "../support/random.ts";

const SECONDS = Number(process.env["FUZZ_SECONDS"] ?? 3);
const SEED = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
/** One text may take this much of a processor: time that other processes take does not count. */
const LOAD_MS_MAX = 10_000;

const layout = planMemory({ arenaBytes: 65_536, arenaBase: ARENA_BASE, workers: 1 });
const memory = new Uint8Array(layout.globalsEnd);

function load(text: string | Uint8Array): "loaded" | "refused" {
  const image = typeof text === "string" ? new TextEncoder().encode(text) : text;
  try {
    const { kernels } = loadImage(image, { layout, window: new GlobalsWindow(layout), memory });
    return kernels.some(({ refusalCode }) => refusalCode !== 0) ? "refused" : "loaded";
  } catch (error) {
    if (error instanceof SluiceError && error.code !== "INTERNAL") return "refused";
    throw error;
  }
}

/** Whole numbers below a bound. */
function seeded(seed: number): (bound: number) => number {
  const random = createRandom(seed);
  return (bound) => Math.floor(random() * bound);
}

const folder = new URL("../kernels/ptx/", import.meta.url);
const samples = readdirSync(folder)
  .filter((name) => name.endsWith(".ptx"))
  .map((name) => readFileSync(new URL(name, folder), "latin1"))
  // One kernel of each file is enough to break, and quick to load.
  .map((text) => {
    const second = text.indexOf(".entry", text.indexOf(".entry") + 1);
    return second < 0 ? text : text.slice(0, text.lastIndexOf("}", second) + 1);
  })
  .filter((text) => text.length < 60_000);

const words = [
  ".reg",
  ".b32",
  ".f64",
  ".entry",
  ".func",
  "{",
  "}",
  "(",
  ")",
  "[",
  "]",
  ";",
  ",",
  ":",
  "@",
  "!",
  "-",
  "+",
  "<",
  ">",
  "=",
  "|",
  "_",
  "%r1",
  "%rd1",
  "%p1",
  "%f1",
  "%tid.x",
  "0",
  "-1",
  "4294967296",
  "99999999999999999999999",
  "0x",
  "0f",
  "0f3F800000",
  "1e999",
  "ld.global.u32",
  "st.shared.v4.f32",
  "bra",
  "bar.sync",
  "call.uni",
  "ret",
  "mov.b64",
  "setp.lt.s32",
  "/*",
  "//",
  '"',
  "\0",
  "\n",
  ".param",
  ".align",
  ".shared",
  ".local",
  ".visible",
  ".extern",
  ".maxntid",
  "constructor",
  "__proto__",
  "toString",
  "WARP_SZ",
  "\u00e9",
  "shfl.sync.idx.b32",
];

function mutate(text: string, next: (bound: number) => number): string {
  let result = text;
  for (let count = 1 + next(6); count > 0; count--) {
    const at = next(result.length + 1);
    const other = next(result.length + 1);
    const word = words[next(words.length)]!;
    const [low, high] = [Math.min(at, other), Math.min(Math.max(at, other), Math.min(at, other) + 200)];
    result = [
      () => result.slice(0, at),
      () => `${result.slice(0, at)} ${word} ${result.slice(at)}`,
      () => result.slice(0, low) + result.slice(high),
      () => result.slice(0, high) + result.slice(low),
      () => result.slice(0, at) + String.fromCharCode(32 + next(95)) + result.slice(at + 1),
      () => swapLines(result, next),
    ][next(6)]!();
  }
  return result;
}

/** Swaps two lines, or puts a word of one in place of a word of another. */
function swapLines(text: string, next: (bound: number) => number): string {
  const lines = text.split("\n");
  const [a, b] = [next(lines.length), next(lines.length)];
  if (next(2) === 0) [lines[a], lines[b]] = [lines[b]!, lines[a]!];
  else {
    const [left, right] = [lines[a]!.split(/\s+/), lines[b]!.split(/\s+/)];
    left[next(left.length)] = right[next(right.length)]!;
    lines[a] = left.join(" ");
  }
  return lines.join("\n");
}

describe(`broken PTX (SEED=${SEED})`, () => {
  let slowest = 0;
  const timed = (text: string | Uint8Array) => {
    const before = process.cpuUsage();
    const outcome = load(text);
    slowest = Math.max(slowest, process.cpuUsage(before).user / 1000);
    return outcome;
  };
  beforeAll(() => expect(samples.length).toBeGreaterThan(3));
  afterAll(() => expect(slowest).toBeLessThan(LOAD_MS_MAX));

  test("made from real modules by cutting, swapping and inserting is loaded or refused", {
    timeout: SECONDS * 1000 + 60_000,
  }, () => {
    const next = seeded(SEED);
    const outcomes = { loaded: 0, refused: 0 };
    for (const until = performance.now() + SECONDS * 1000; performance.now() < until; ) {
      const text = mutate(samples[next(samples.length)]!, next);
      try {
        outcomes[timed(text)]++;
      } catch (error) {
        throw new Error(`SEED=${SEED} fails on ${JSON.stringify(text.slice(0, 2000))}`, { cause: error });
      }
    }
    // A fuzzer that only ever sees one outcome tests nothing.
    expect(outcomes.refused).toBeGreaterThan(0);
  });

  test("made of nothing but tokens, or of random bytes, is almost always refused", () => {
    const next = seeded(SEED + 1);
    // A lone closing brace makes an empty kernel, which is valid.
    let loaded = 0;
    for (let round = 0; round < 300; round++) {
      const tokens = Array.from({ length: next(200) }, () => words[next(words.length)]).join(" ");
      if (timed(`.version 8.0\n.target sm_80\n.address_size 64\n.entry k() { ${tokens}`) === "loaded") loaded++;
      expect(timed(Uint8Array.from({ length: next(300) }, () => next(256)))).toBe("refused");
    }
    expect(loaded).toBeLessThan(30);
  });

  const deep = 30_000;
  test.each([
    ["braces", `.entry k() { ${"{".repeat(deep)}`],
    ["closed braces", `.entry k() { ${"{".repeat(deep)}${"}".repeat(deep)} }`],
    ["initialisers", `.global .u32 x[4] = ${"{".repeat(deep)}1${"}".repeat(deep)};`],
    ["parentheses", `.global .attribute(${"(".repeat(deep)} .u32 x;`],
    ["vectors", `.entry k() { .reg .b32 %r<2>; mov.u32 %r1, ${"{".repeat(deep)}; }`],
    ["a huge array", ".global .b8 x[4294967295];"],
    ["huge dimensions", `.global .b8 x${"[4294967295]".repeat(100)};`],
    ["huge local memory", ".entry k() { .local .b8 x[4294967295]; .reg .b32 %r<2>; ld.local.u8 %r1, [x]; }"],
    ["huge shared memory", ".entry k() { .shared .b8 x[4294967295]; .reg .b32 %r<2>; ld.shared.u8 %r1, [x]; }"],
    ["huge parameters", ".entry k(.param .b8 x[4294967295]) { ret; }"],
    ["a long number", `.global .u32 x = 1${"0".repeat(100_000)};`],
    ["a comment without an end", `/*${"*".repeat(100_000)}`],
    [
      "functions that grow exponentially when copied",
      `.func f0() { bar.sync 0; ret; }\n${Array.from({ length: 24 }, (_, index) => `.func f${index + 1}() { call.uni f${index}; call.uni f${index}; ret; }`).join("\n")}\n.entry k() { call.uni f24; ret; }`,
    ],
  ])("with %s is refused in bounded time and memory", (_, text) => {
    expect(timed(`.version 8.0\n.target sm_80\n.address_size 64\n${text}`)).toBe("refused");
  });

  test("with a function that holds a barrier and calls itself is loaded in bounded time and memory: it is not copied", () => {
    const text = ".func a() { bar.sync 0; call.uni a; ret; }\n.entry k() { call.uni a; ret; }";
    expect(timed(`.version 8.0\n.target sm_80\n.address_size 64\n${text}`)).toBe("loaded");
  });

  test.each([
    [
      "a hundred thousand registers and one instruction",
      `.entry k() { .reg .b32 %r<4294967295>; mov.u32 %r4294967294, 1; ret; }`,
    ],
    [
      "a chain of 20,000 branches",
      `.entry k() { .reg .pred %p<2>; ${Array.from({ length: 20_000 }, (_, index) => `@%p1 bra L${index}; L${index}:`).join("\n")} ret; }`,
    ],
    [
      "20,000 nested conditions",
      `.entry k() { .reg .pred %p<2>; ${Array.from({ length: 20_000 }, () => "@%p1 bra END;").join("\n")} END: ret; }`,
    ],
  ])("with %s is loaded, or refused, in bounded time", (_, text) => {
    expect(["loaded", "refused"]).toContain(timed(`.version 8.0\n.target sm_80\n.address_size 64\n${text}`));
  });
});
