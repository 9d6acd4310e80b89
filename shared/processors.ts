/**
 * How many processors a process may use: those that the system lets it run on, or fewer where a control group gives it less of their time. Who goes on
 * beyond such a quota stands still for the rest of its period, 100 ms by default. client/interposer/core/processors.c is the same for unmodified
 * programs. Sources: the kernel's cgroup-v2.rst (`cpu.max`) and sched-bwc.rst (`cpu.cfs_quota_us`), proc(5).
 */

/** What a process is told by its host. */
export interface ProcessorHost {
  /** Processors that it may run on. */
  readonly available: number;
  /** The text of a file; throws where there is none. */
  readonly read: (path: string) => string;
}

type Read = ProcessorHost["read"];

/** Processors, not rounded: a quota may be half of one. */
export function usableProcessors({ available, read }: ProcessorHost): number {
  const readOr = (path: string): string => {
    try {
      return read(path);
    } catch {
      return "";
    }
  };
  let least = available;
  // NUMBER:CONTROLLERS:PATH, without controllers for the unified hierarchy.
  const groups = [...readOr("/proc/self/cgroup").matchAll(/^\d+:([^:\n]*):(.*)$/gm)];
  for (const mount of mountsOf(readOr("/proc/self/mountinfo"))) {
    for (const [, controllers = "", path = ""] of groups) {
      const isMounted = mount.isUnified ? controllers === "" : controllers.split(",").includes("cpu");
      if (isMounted) least = Math.min(least, leastQuota(mount, path, readOr));
    }
  }
  return least;
}

interface Mount {
  /** The group that is mounted, and where. */
  readonly root: string;
  readonly point: string;
  readonly isUnified: boolean;
}

/** Where control groups are mounted; those of other things than processors have no file of a quota. */
function mountsOf(mountinfo: string): Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    const [place = "", what = ""] = line.split(" - ");
    const [, , , root, point] = place.split(" ");
    const [kind = ""] = what.split(" ");
    if (!/^cgroup2?$/.test(kind) || root === undefined || point === undefined) return [];
    return [{ root, point, isUnified: kind === "cgroup2" }];
  });
}

/** The least that the group at `path` and those around it grant. */
function leastQuota({ root, point }: Mount, path: string, read: Read): number {
  const above = root === "/" ? "" : root;
  // A mount of other groups says nothing, and neither does a path that leads out of this namespace.
  if (!`${path}/`.startsWith(`${above}/`) || path.includes("/..")) return Number.POSITIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  let group = point + path.slice(above.length);
  while (group.length >= point.length) {
    least = Math.min(least, quotaOf(group, read));
    group = group.slice(0, group.lastIndexOf("/"));
  }
  return least;
}

/** Processors whose time the group grants. What is no number, as "max" and -1, is no quota. */
function quotaOf(group: string, read: Read): number {
  const unified = read(`${group}/cpu.max`).split(" ");
  const quota = Number.parseInt(unified[0] || read(`${group}/cpu.cfs_quota_us`), 10);
  const period = Number.parseInt(unified[1] ?? read(`${group}/cpu.cfs_period_us`), 10);
  return quota > 0 && period > 0 ? quota / period : Number.POSITIVE_INFINITY;
}
