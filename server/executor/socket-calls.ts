/**
 * `recv`, `send` and `poll` on a connected socket, past Node's streams: a small answer leaves sooner by `send` than by the file system's
 * write, and the call behind it is read without a turn of the event loop. Node stays the owner of the descriptor. Linux only, through libc;
 * elsewhere callers do without.
 */
import { release } from "node:os";
import koffi from "../device/native.ts";
import { nowMs } from "./clock.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_MORE = 0x8000;
const POLLIN = 1;
const POLLOUT = 4;
const FIONBIO = 0x5421;
const SOL_SOCKET = 1;
const SO_RCVLOWAT = 18;
const SO_RCVTIMEO = 20;
const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;
/** The congestion control that every Linux has and lets everybody use; it does not pace. */
const UNPACED = Buffer.from("reno");

/**
 * How long one wait lasts at most, and how long the event loop goes without a turn before it is given one. Short beside anything that waits for
 * a turn. Hence only the socket is watched: to watch what the event loop waits for too would cost a call more, and 1.2 us.
 */
const WAIT_MS = 20;

type SocketCalls = ReturnType<typeof load>;
let loaded: SocketCalls | undefined | "missing";

function load() {
  const library = koffi.load(null);
  const recv = library.func("recv", "int64_t", ["int", "void *", "size_t", "int"]);
  const send = library.func("send", "int64_t", ["int", "void *", "size_t", "int"]);
  const poll = library.func("poll", "int", ["void *", "uint64_t", "int"]);
  const ioctl = library.func("int ioctl(int, unsigned long, ...)");
  const setsockopt = library.func("setsockopt", "int", ["int", "int", "int", "void *", "uint32_t"]);
  // A struct pollfd.
  const words = new Int32Array(2);
  const events = new Int16Array(words.buffer);
  return { recv, send, poll, ioctl, setsockopt, words, events };
}

function calls(): SocketCalls | undefined {
  if (loaded === undefined) {
    loaded = "missing";
    try {
      // Where the constants above are the kernel's.
      if (process.platform === "linux" && ["x64", "arm64"].includes(process.arch)) loaded = load();
    } catch {
      // There is no such library here.
    }
  }
  return loaded === "missing" ? undefined : loaded;
}

/** Sends what the system takes at once; returns how much that is, or undefined where this cannot be done. With `isBegin` more follows, which it waits for. */
export function sendNow(fd: number, bytes: Uint8Array, isBegin = false): number | undefined {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL | (isBegin ? MSG_MORE : 0);
  const sent = calls()?.send(fd, bytes, bytes.length, flags) as number | undefined;
  return sent === undefined ? undefined : Math.max(0, sent);
}

/** Sets how long `receive` waits at most; false where it cannot be had, and nothing may wait then. Once for a socket. */
export function limitWaits(fd: number): boolean {
  // A struct timeval.
  const limit = new BigInt64Array([0n, BigInt(WAIT_MS * 1000)]);
  return calls()?.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, limit, limit.byteLength) === 0;
}

/**
 * Sets whether reads and writes of the socket wait. While they do, libuv must not touch it: it counts on being told that there is nothing, and would
 * hang. Returns whether it is so now.
 */
export function setWaiting(fd: number, waits: boolean): boolean {
  return calls()?.ioctl(fd, FIONBIO, "void *", new Int32Array([waits ? 0 : 1])) === 0;
}

/**
 * Reads into `into` what is there, or waits for it if the socket waits. Returns 0 when the event loop is to have a turn instead: nothing
 * came within WAIT_MS, or the connection has ended or failed, which its socket will tell.
 */
export function receive(fd: number, into: Uint8Array): number {
  return Math.max(0, (calls()?.recv(fd, into, into.length, 0) as number | undefined) ?? 0);
}

/** Reads what is there, or comes before `until` of `nowMs`, without letting the core sleep; 0 for nothing, and when the connection has ended or failed. */
export function receiveAwake(fd: number, into: Uint8Array, until: number): number {
  const socket = calls();
  if (socket === undefined) return 0;
  do {
    const byteCount = socket.recv(fd, into, into.length, MSG_DONTWAIT) as number;
    if (byteCount >= 0) return byteCount;
  } while (nowMs() < until);
  return 0;
}

/** As `receive`, but of a socket that does not wait: `poll` does. */
export function receiveSoon(fd: number, into: Uint8Array): number {
  const socket = calls();
  if (socket === undefined) return 0;
  const { poll, recv, words, events } = socket;
  words[0] = fd;
  words[1] = POLLIN;
  // What a failed socket says is said once: it is left for libuv to hear.
  if ((poll(words, 1, WAIT_MS) as number) <= 0 || events[3] !== POLLIN) return 0;
  return Math.max(0, recv(fd, into, into.length, MSG_DONTWAIT) as number);
}

/**
 * Has a connection within this host send as fast as its peer reads. There is no network to be careful of, and a congestion control that paces, as
 * BBR does, sets a timer for each 64 KiB.
 */
export function sendUnpaced(fd: number): void {
  calls()?.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, UNPACED, UNPACED.byteLength);
}

/** Older systems may wait for ever, where what is there fills the socket's memory before it is as much as is waited for. */
const canWaitForMore = ((): boolean => {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return process.platform === "linux" && (major > 5 || (major === 5 && minor >= 8));
})();

/** Has waits for bytes on `fd` end only once `byteCount` are there, its peer has ended, or no more can come before some are read. */
export function wakeAt(fd: number, byteCount: number): void {
  const socket = canWaitForMore ? calls() : undefined;
  if (socket === undefined) return;
  const { setsockopt, words } = socket;
  words[0] = byteCount;
  setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, words, 4);
}

/** Waits until the system takes more on `fd`; false when the event loop is to have a turn instead, as with `receive`. */
export function takesSoon(fd: number): boolean {
  const socket = calls();
  if (socket === undefined) return false;
  const { poll, words, events } = socket;
  words[0] = fd;
  words[1] = POLLOUT;
  return (poll(words, 1, WAIT_MS) as number) > 0 && events[3] === POLLOUT;
}

/** Whether a turn of the event loop that began at `startedAt` has lasted long enough by `now`. Milliseconds as of `nowMs`. */
export const isTurnOver = (startedAt: number, now: number): boolean => now - startedAt >= WAIT_MS;
