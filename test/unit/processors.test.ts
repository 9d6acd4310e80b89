/**
 * Processors that a process may use: where a control group gives it less of their time, not all on which it may run. The library's count and the
 * interposer's are held to the same files, written here, and to the system's own where this machine lets a test make a group.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { usableProcessors } from "../../shared/processors.ts";
import { canBuild } from "../support/interposer.ts";

const AVAILABLE = 64;
const folder = mkdtempSync(join(tmpdir(), "sluice-processors-"));
const counter = join(folder, "count");

beforeAll(() => {
  if (!canBuild) return;
  const core = ["processors.c", "report.c"].map((name) => `client/interposer/core/${name}`);
  const flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"];
  execFileSync("cc", [...flags, "-o", counter, "test/interposer/unit/processors.c", ...core]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const unified = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate";
const first = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
const others = [
  "22 1 8:1 / / rw,relatime - ext4 /dev/root rw",
  "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
  "35 31 0:32 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct",
  "36 31 0:33 / /mnt/cpu,cpuacct rw - tmpfs tmpfs rw,cpu",
];
const v1 = (path: string, quota: string, period = "100000"): Record<string, string> => ({
  [`/sys/fs/cgroup/cpu,cpuacct${path}/cpu.cfs_quota_us`]: `${quota}\n`,
  [`/sys/fs/cgroup/cpu,cpuacct${path}/cpu.cfs_period_us`]: `${period}\n`,
});
const v2 = (path: string, quota: string): Record<string, string> => ({
  [`/sys/fs/cgroup${path}/cpu.max`]: `${quota}\n`,
});

interface Host {
  readonly groups?: readonly string[];
  readonly mounts?: readonly string[];
  readonly files?: Record<string, string>;
}

/** What is there, and the processors that are counted then. */
const hosts: readonly (readonly [string, number, Host])[] = [
  ["no control groups", AVAILABLE, {}],
  ["no quota (v2)", AVAILABLE, { groups: ["0::/a"], mounts: [unified], files: v2("/a", "max 100000") }],
  ["no quota (v1)", AVAILABLE, { groups: ["1:cpu,cpuacct:/a"], mounts: [first], files: v1("/a", "-1") }],
  ["a quota (v2)", 2, { groups: ["0::/a"], mounts: [unified], files: v2("/a", "200000 100000") }],
  ["a quota (v1)", 2, { groups: ["1:cpuacct,cpu:/a"], mounts: [first], files: v1("/a", "20000", "10000") }],
  [
    "a quota of a container of its own namespace",
    3,
    {
      groups: ["0::/"],
      mounts: [unified],
      files: v2("", "300000 100000"),
    },
  ],
  ["a quota of three and a half", 3.5, { groups: ["0::/a"], mounts: [unified], files: v2("/a", "35000 10000") }],
  ["a quota of half of one", 0.5, { groups: ["0::/a"], mounts: [unified], files: v2("/a", "50000 100000") }],
  [
    "a quota of more than there are",
    AVAILABLE,
    { groups: ["0::/a"], mounts: [unified], files: v2("/a", "9900000 100000") },
  ],
  [
    "a pod's quota around a container's",
    2,
    {
      groups: ["0::/kubepods/pod/one"],
      mounts: [unified],
      files: { ...v2("/kubepods/pod", "200000 100000"), ...v2("/kubepods/pod/one", "400000 100000") },
    },
  ],
  [
    "a container's quota within a pod's",
    1,
    {
      groups: ["7:cpu,cpuacct:/pod/one"],
      mounts: [first],
      files: { ...v1("/pod", "400000"), ...v1("/pod/one", "100000") },
    },
  ],
  [
    "a quota of the whole mount",
    5,
    {
      groups: ["1:cpu,cpuacct:/a/b"],
      mounts: [first],
      files: { ...v1("", "500000"), ...v1("/a/b", "-1") },
    },
  ],
  [
    "a mount of the own group alone, as containers have it",
    2,
    {
      groups: ["1:cpu,cpuacct:/docker/abc"],
      mounts: [first.replace("0:30 / ", "0:30 /docker/abc ")],
      files: v1("", "200000"),
    },
  ],
  [
    "a mount of a group around the own",
    2,
    {
      groups: ["1:cpu,cpuacct:/docker/abc/x"],
      mounts: [first.replace("0:30 / ", "0:30 /docker/abc ")],
      files: v1("/x", "200000"),
    },
  ],
  [
    "a mount of another's group",
    AVAILABLE,
    {
      groups: ["1:cpu,cpuacct:/docker/abcd"],
      mounts: [first.replace("0:30 / ", "0:30 /docker/abc ")],
      files: { ...v1("", "200000"), ...v1("d", "200000") },
    },
  ],
  [
    "a group outside of the namespace",
    AVAILABLE,
    {
      groups: ["0::/../b"],
      mounts: [unified],
      files: { ...v2("", "200000 100000"), "/sys/fs/b/cpu.max": "100000 100000\n" },
    },
  ],
  [
    "both kinds, of which one has the processors",
    6,
    {
      groups: ["0::/b", "4:memory:/m", "1:cpu,cpuacct:/a"],
      mounts: [unified.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified "), first],
      files: {
        ...v1("/a", "600000"),
        ...v1("/m", "100000"),
        ...v1("/b", "100000"),
        "/sys/fs/cgroup/unified/a/cpu.max": "100000 100000\n",
        "/mnt/cpu,cpuacct/a/cpu.cfs_quota_us": "100000\n",
        "/mnt/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
      },
    },
  ],
  [
    "groups of other things, and mounts that only look alike",
    AVAILABLE,
    {
      groups: ["1:cpuset:/a", "2:cpuacct:/a", "3:name=cpu:/a"],
      mounts: [first],
      files: v1("/a", "200000"),
    },
  ],
  [
    "a path with colons and a group that is gone",
    4,
    {
      groups: ["0::/a/b:c (deleted)"],
      mounts: [unified],
      files: v2("/a", "400000 100000"),
    },
  ],
  [
    "files that are empty or hold no numbers",
    AVAILABLE,
    {
      groups: ["0::/a/b/c", "1:cpu,cpuacct:/a"],
      mounts: [unified, first, "", "nonsense - cgroup2", " - - cgroup cgroup cpu"],
      files: { ...v2("/a/b/c", ""), ...v2("/a/b", "none 7"), ...v2("/a", "100 0"), ...v1("/a", "") },
    },
  ],
  [
    "half of the files",
    AVAILABLE,
    {
      groups: ["1:cpu,cpuacct:/a"],
      mounts: [first],
      files: { "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n" },
    },
  ],
];

function write({ groups, mounts, files = {} }: Host, index: number): string {
  const root = join(folder, `${index}`);
  const all: Record<string, string> = { ...files };
  if (groups !== undefined) all["/proc/self/cgroup"] = `${groups.join("\n")}\n`;
  if (mounts !== undefined) all["/proc/self/mountinfo"] = `${[...others, ...mounts].join("\n")}\n`;
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(root + path), { recursive: true });
    writeFileSync(root + path, text);
  }
  return root;
}

const roots = hosts.map(([, , host], index) => write(host, index));
const countBelow = (root: string): number =>
  usableProcessors({ available: AVAILABLE, read: (path) => readFileSync(root + path, "utf8") });

it.each(hosts.map(([what, count], index) => [what, count, roots[index]!] as const))("with %s: %d of 64", (...host) => {
  expect(countBelow(host[2])).toBe(host[1]);
});

it.runIf(canBuild)("the interposer counts as the library does, in whole ones", () => {
  const counts = execFileSync(counter, [`${AVAILABLE}`, ...roots], { encoding: "utf8" });
  expect(counts.trim().split("\n").map(Number)).toEqual(hosts.map(([, count]) => Math.floor(count)));
});

/** A group of this test's own with one processor's time, in the first hierarchy that takes it; undefined where the system lets none be made. */
function makeGroup(): string | undefined {
  const own = readFileSync("/proc/self/cgroup", "latin1");
  const pathIn = (controllers: RegExp): string => controllers.exec(own)?.[1] ?? "";
  const parents = [
    `/sys/fs/cgroup/cpu${pathIn(/^\d+:(?:cpu|cpu,cpuacct|cpuacct,cpu):(.*)$/m)}`,
    `/sys/fs/cgroup${pathIn(/^0::(.*)$/m)}`,
  ];
  for (const parent of parents) {
    const group = join(parent, `sluice-test-${process.pid}`);
    try {
      mkdirSync(group);
    } catch {
      continue;
    }
    const [quota, text] = existsSync(`${group}/cpu.max`)
      ? ["cpu.max", "100000 100000"]
      : ["cpu.cfs_quota_us", "100000"];
    try {
      writeFileSync(join(group, quota), text, { flag: "r+" });
      return group;
    } catch {
      rmdirSync(group);
    }
  }
  return undefined;
}

it("in a real group of one processor both count one", ({ skip }) => {
  const group = canBuild ? makeGroup() : undefined;
  if (group === undefined) return skip("This system lets a test make no control group with a quota.");
  const inside = (command: string, ...args: string[]): string => {
    const enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
    return execFileSync("sh", ["-c", enter, group, command, ...args], { encoding: "utf8" });
  };
  try {
    expect(inside(counter, `${AVAILABLE}`, "")).toBe("1\n");
    const cores = new URL("../../client/cores.ts", import.meta.url).href;
    const program = `import { usableCores } from ${JSON.stringify(cores)}; console.log(usableCores());`;
    expect(inside(process.execPath, "--import", "tsx", "--input-type=module", "-e", program)).toBe("1\n");
  } finally {
    rmdirSync(group);
  }
});
