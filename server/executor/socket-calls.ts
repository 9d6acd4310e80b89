/**
 * `poll`, `recv` and `send` on a connected socket, past Node's streams: a small answer leaves sooner by `send` than by the file system's
 * write, and the call behind it is read without a turn of the event loop. Node stays the owner of the descriptor. Linux only, through libc;
 * elsewhere callers do without.
 */
import koffi from "../device/native.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;
const POLLOUT = 4;

/**
 * How long one `poll` waits, and how long the event loop goes without a turn before it is given one. Longer than the system's tick, since a
 * nearer timer has to be set in the hardware (6 us in a virtual machine); short beside anything that waits for a turn. Hence only the socket is
 * watched: to watch what the event loop waits for too would cost 0.5 us a call.
 */
const WAIT_MS = 20;

type SocketCalls = ReturnType<typeof load>;
let loaded: SocketCalls | undefined | "missing";

function load() {
  const library = koffi.load(null);
  const recv = library.func("recv", "int64_t", ["int", "void *", "size_t", "int"]);
  const send = library.func("send", "int64_t", ["int", "void *", "size_t", "int"]);
  const poll = library.func("poll", "int", ["void *", "uint64_t", "int"]);
  // A struct pollfd.
  const words = new Int32Array(2);
  const events = new Int16Array(words.buffer);
  return { recv, send, poll, words, events };
}

function calls(): SocketCalls | undefined {
  if (loaded === undefined) {
    loaded = "missing";
    try {
      if (process.platform === "linux") loaded = load();
    } catch {
      // There is no such library here.
    }
  }
  return loaded === "missing" ? undefined : loaded;
}

/** Sends what the system takes at once; returns how much that is, or undefined where this cannot be done. */
export function sendNow(fd: number, bytes: Uint8Array): number | undefined {
  const sent = calls()?.send(fd, bytes, bytes.byteLength, MSG_DONTWAIT | MSG_NOSIGNAL) as number | undefined;
  return sent === undefined ? undefined : Math.max(0, sent);
}

/**
 * Waits for bytes on `fd` and reads them into `into`. Returns 0 when the event loop is to have a turn instead: nothing
 * came within WAIT_MS, or the connection has ended or failed, which its socket will tell.
 */
export function receiveSoon(fd: number, into: Uint8Array): number {
  const socket = calls();
  if (socket === undefined) return 0;
  const { poll, recv, words, events } = socket;
  words[0] = fd;
  words[1] = POLLIN;
  // What a failed socket says is said once: it is left for libuv to hear.
  if ((poll(words, 1, WAIT_MS) as number) <= 0 || events[3] !== POLLIN) return 0;
  return Math.max(0, recv(fd, into, into.byteLength, MSG_DONTWAIT) as number);
}

/** Waits until the system takes more on `fd`; false when the event loop is to have a turn instead, as with `receiveSoon`. */
export function takesSoon(fd: number): boolean {
  const socket = calls();
  if (socket === undefined) return false;
  const { poll, words, events } = socket;
  words[0] = fd;
  words[1] = POLLOUT;
  return (poll(words, 1, WAIT_MS) as number) > 0 && events[3] === POLLOUT;
}

/** Whether a turn of the event loop that began at `startedAt` has lasted long enough. Milliseconds as of `performance.now`. */
export const isTurnOver = (startedAt: number): boolean => performance.now() - startedAt >= WAIT_MS;
