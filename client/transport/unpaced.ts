/**
 * Connections within this host that send as fast as their peer reads, through libc, since Node sets no congestion control. There is no network to be
 * careful of there, and one that paces, as BBR does, sets a timer for each 64 KiB. Does nothing where the system's does not.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Socket } from "node:net";

/** Loading koffi takes a program some 5 ms; without pacing each 16 MiB take 2 to 4 ms less. */
export const UNPACING_PAYS_BYTES = 16 * 1024 * 1024;

const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;
/** The congestion control that every Linux has and lets everybody use. */
const UNPACED = Buffer.from("reno");

/** Whether the system paces what is sent over TCP unless it is told otherwise. */
export function paces(): boolean {
  try {
    return readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "latin1").startsWith("bbr");
  } catch {
    // This is no Linux, or does not say.
    return false;
  }
}

/** `fd` is the descriptor of a connected socket of TCP. Between different addresses nothing changes. */
export function sendUnpaced(socket: Socket, fd: number): void {
  if (socket.remoteAddress === undefined || socket.remoteAddress !== socket.localAddress || !paces()) return;
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const set = koffi.load(null).func("setsockopt", "int", ["int", "int", "int", "void *", "uint32_t"]);
    set(fd, IPPROTO_TCP, TCP_CONGESTION, UNPACED, UNPACED.byteLength);
  } catch {
    // There is no such library here.
  }
}
