/**
 * Random programs whose lanes read and overwrite each other's words, with no word to the compiler, against an interpreter that runs all lanes of a warp
 * at once: what a GPU does as long as lanes have not parted.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ARENA_BASE } from "../../shared/limits.ts";
import { seeded } from "../kernels/support.ts";
import { type CpuMachine, openCpu, ptxKernel, readWords, runPtx } from "./cpu-machine.ts";

const LANES = 32;
const WORDS = 64;
const PROGRAMS = 120;
const SEED = Number(process.env["SEED"] ?? 1);

/** An address, as a number of a word, by lane and round of the innermost loop. */
interface Place {
  readonly ptx: (register: string) => string;
  readonly word: (lane: number, round: number) => number;
}

type Item =
  | { readonly kind: "load" | "store" | "add"; readonly place: Place; readonly mask: number | undefined }
  | { readonly kind: "branch"; readonly mask: number; readonly items: readonly Item[] }
  /** `longer`: lanes that make one round more. */
  | { readonly kind: "loop"; readonly rounds: number; readonly longer: number; readonly items: readonly Item[] };

type Random = ReturnType<typeof seeded>;

/** Registers: %r0 the lane, %r1 what the lane has, %r2 the array, %r3 the round. */
function randomPlace(random: Random): Place {
  const [a, b] = [random.int(WORDS), random.int(5) - 2];
  const inside = (register: string) => `and.b32 ${register}, ${register}, ${WORDS - 1};`;
  const forms: Place[] = [
    { ptx: (r) => `mov.u32 ${r}, %r0;`, word: (lane) => lane },
    { ptx: (r) => `add.u32 ${r}, %r0, ${a}; ${inside(r)}`, word: (lane) => (lane + a) % WORDS },
    { ptx: (r) => `xor.b32 ${r}, %r0, ${a % LANES};`, word: (lane) => lane ^ (a % LANES) },
    { ptx: (r) => `mul.lo.u32 ${r}, %r0, ${a}; ${inside(r)}`, word: (lane) => (lane * a) % WORDS },
    {
      ptx: (r) => `mad.lo.s32 ${r}, %r3, ${b}, %r0; ${inside(r)}`,
      word: (lane, round) => (lane + b * round) & (WORDS - 1),
    },
    {
      ptx: (r) => `mad.lo.u32 ${r}, %r3, ${LANES}, %r0; ${inside(r)}`,
      word: (lane, round) => (lane + LANES * round) % WORDS,
    },
    {
      ptx: (r) => `shr.u32 ${r}, %r0, 2; add.u32 ${r}, ${r}, ${a}; ${inside(r)}`,
      word: (lane) => ((lane >> 2) + a) % WORDS,
    },
    { ptx: (r) => `mov.u32 ${r}, ${a};`, word: () => a },
    // What nothing is known of: a permutation that is read from memory.
    {
      ptx: (r) => `mad.wide.u32 %rd9, %r0, 4, %rd0; ld.global.u32 ${r}, [%rd9+4096];`,
      word: (lane) => (lane * 7 + 3) % LANES,
    },
  ];
  return forms[random.int(forms.length)]!;
}

function randomItems(random: Random, { depth, count }: { depth: number; count: number }): Item[] {
  return Array.from({ length: count }, (): Item => {
    const choice = random.int(depth > 0 ? 12 : 8);
    if (choice >= 10) {
      const longer = random.int(2) === 0 ? random.u32() : 0;
      return {
        kind: "loop",
        rounds: 2 + random.int(3),
        longer,
        items: randomItems(random, { depth: depth - 1, count: 3 }),
      };
    }
    if (choice >= 8)
      return { kind: "branch", mask: random.u32(), items: randomItems(random, { depth: depth - 1, count: 2 }) };
    const kind = (["load", "load", "load", "store", "store", "store", "store", "add"] as const)[choice]!;
    return { kind, place: randomPlace(random), mask: random.int(4) === 0 ? random.u32() : undefined };
  });
}

/** Writes a program. Registers of rounds and labels are numbered. */
class Writer {
  #numbers = 0;

  write(items: readonly Item[]): string {
    return items.map((item) => this.#item(item)).join("\n");
  }

  #item(item: Item): string {
    const number = this.#numbers++;
    if (item.kind === "loop") {
      // The loop around it finds its own round again behind.
      const [saved, label] = [`%r${40 + (number % 20)}`, `L${number}`];
      return `mov.u32 ${saved}, %r3; mov.u32 %r3, 0; ${label}: ${this.write(item.items)}
        ${predicate(item.longer)} add.u32 %r7, %r7, ${item.rounds};
        add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, %r7; @%p1 bra ${label}; mov.u32 %r3, ${saved};`;
    }
    if (item.kind === "branch")
      return `${predicate(item.mask)} @!%p2 bra B${number}; ${this.write(item.items)} B${number}:`;
    const guard = item.mask === undefined ? "" : "@%p2 ";
    const place = `${item.place.ptx("%r5")} mad.lo.u32 %r5, %r5, 4, %r2; ${item.mask === undefined ? "" : predicate(item.mask)}`;
    if (item.kind === "store") return `${place} ${guard}st.shared.u32 [%r5], %r1; add.u32 %r1, %r1, 1;`;
    if (item.kind === "add") return `${place} ${guard}red.shared.add.u32 [%r5], 5;`;
    return `${place} mov.u32 %r6, 0; ${guard}ld.shared.u32 %r6, [%r5]; mad.lo.u32 %r1, %r1, 31, %r6;`;
  }
}

const predicate = (mask: number): string => `shr.u32 %r7, ${mask}, %r0; and.b32 %r7, %r7, 1; setp.ne.u32 %p2, %r7, 0;`;
const has = (mask: number | undefined, lane: number): boolean => mask === undefined || ((mask >>> lane) & 1) === 1;

/** What hardware does: each access for all lanes that are there, before the next. */
class Warp {
  readonly words = new Uint32Array(WORDS);
  readonly values = Uint32Array.from({ length: LANES }, (_, lane) => lane * 1000);

  run(items: readonly Item[], lanes: readonly number[], round: number): void {
    for (const item of items) {
      if (item.kind === "loop") {
        for (let each = 0; each <= item.rounds; each++)
          this.run(item.items, each < item.rounds ? lanes : lanes.filter((lane) => has(item.longer, lane)), each);
      } else if (item.kind === "branch") {
        const taken = lanes.filter((lane) => has(item.mask, lane));
        this.run(item.items, taken, round);
      } else this.#access(item, lanes, round);
    }
  }

  #access({ kind, place, mask }: Extract<Item, { place: Place }>, lanes: readonly number[], round: number): void {
    const found = lanes.map((lane) => this.words[place.word(lane, round)]!);
    lanes.forEach((lane, index) => {
      const word = place.word(lane, round);
      const takesPart = has(mask, lane);
      if (kind === "load") this.values[lane] = Math.imul(this.values[lane]!, 31) + (takesPart ? found[index]! : 0);
      else if (kind === "add") this.words[word]! += takesPart ? 5 : 0;
      else {
        if (takesPart) this.words[word] = this.values[lane]!;
        this.values[lane]!++;
      }
    });
  }
}

let machine: CpuMachine;
beforeAll(async () => {
  machine = await openCpu();
});
afterAll(() => machine.slice.close());

test.each([
  ["", (body: string) => body],
  [", with volatile accesses", (body: string) => body.replace(/\b(ld|st)\.shared/g, "$1.volatile.shared")],
])(`random programs of one warp%s give what lanes in step give (SEED=${SEED})`, async (_, written) => {
  const random = seeded(SEED);
  const { slice } = machine;
  const permutation = Uint32Array.from({ length: LANES }, (_, lane) => (lane * 7 + 3) % LANES);
  await slice.write(ARENA_BASE + 4096, new Uint8Array(permutation.buffer), undefined);
  for (let program = 0; program < PROGRAMS; program++) {
    const items = randomItems(random, { depth: 2, count: 3 + random.int(5) });
    const body = `.shared .align 4 .b8 s[${WORDS * 4}]; mov.u32 %r2, s; mov.u32 %r3, 0; mul.lo.u32 %r1, %r0, 1000;
      mad.lo.u32 %r5, %r0, 4, %r2; st.shared.u32 [%r5], 0; st.shared.u32 [%r5+128], 0; bar.sync 0;
      ${new Writer().write(items)}
      mul.wide.u32 %rd1, %r0, 4; add.u64 %rd1, %rd0, %rd1; st.global.u32 [%rd1], %r1;`;
    await runPtx(machine, ptxKernel(written(body)), { block: LANES });
    const warp = new Warp();
    warp.run(
      items,
      Array.from({ length: LANES }, (_, lane) => lane),
      0,
    );
    expect([...readWords(machine, LANES)], `program ${program}:\n${body}`).toEqual([...warp.values]);
  }
});
