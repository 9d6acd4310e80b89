/**
 * Open sockets on their way from the daemon to an executor: SCM_RIGHTS over a Unix datagram socket, through libc, since Node passes
 * handles only to children that it forked itself. Linux only: the layouts are those of unix(7), recvmsg(2) and cmsg(3) on 64 bits,
 * little-endian, which glibc and musl share. Knows no messages and no leases.
 */
import { closeSync } from "node:fs";
import { endianness } from "node:os";
import { getSystemErrorName } from "node:util";
import { SluiceError } from "../../shared/errors.ts";
import koffi from "../device/native.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** struct sockaddr_un: the family, then the path with its terminator. */
const SUN_PATH_OFFSET = 2;
const SUN_PATH_BYTES = 108;

/** One message with one descriptor: struct msghdr, struct iovec, the name, the control data and the tag, in one piece of memory. */
const MSGHDR = { at: 0, name: 0, nameLength: 8, iov: 16, iovLength: 24, control: 32, controlLength: 40, flags: 48 };
const IOVEC_AT = 64;
const NAME_AT = 80;
const CONTROL_AT = 192;
/** CMSG_LEN and CMSG_SPACE of one int. */
const CONTROL_LENGTH = 20;
const CONTROL_BYTES = 24;
const TAG_AT = 216;
/** The most bytes that a tag may have. */
const TAG_BYTES_MAX = 64;
/** Nothing is sent under it. */
const NO_TAG = new Uint8Array(0);

/** Connections that wait to be accepted. A daemon connects once; those of daemons that died before count too. */
const BACKLOG = 64;

type Libc = ReturnType<typeof load>;
let loaded: Libc | undefined;

function load() {
  if (process.platform !== "linux" || endianness() !== "LE") {
    throw new SluiceError("UNSUPPORTED", `The server runs on Linux, and this is [${process.platform}].`);
  }
  const library = koffi.load(null);
  return {
    socket: library.func("socket", "int", ["int", "int", "int"]),
    bind: library.func("bind", "int", ["int", "void *", "uint32_t"]),
    listen: library.func("listen", "int", ["int", "int"]),
    sendmsg: library.func("sendmsg", "int64_t", ["int", "void *", "int"]),
    recvmsg: library.func("recvmsg", "int64_t", ["int", "void *", "int"]),
    /** Used by one call at a time: none of them waits. */
    memory: Buffer.alloc(TAG_AT + TAG_BYTES_MAX),
  };
}

const libc = (): Libc => {
  loaded ??= load();
  return loaded;
};

/** Loads what the first use would load. Throws SluiceError UNSUPPORTED on other systems than Linux. */
export const prepareHandles = (): void => void libc();

function failure(what: string): NodeJS.ErrnoException {
  const errno = koffi.errno();
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${what} fails [${code}]`), { code, errno, syscall: what });
}

/** Writes a sockaddr_un; returns its length. */
function writeName(path: string): number {
  const { memory } = libc();
  memory.fill(0, NAME_AT, NAME_AT + SUN_PATH_OFFSET + SUN_PATH_BYTES);
  const byteCount = Buffer.byteLength(path);
  if (byteCount >= SUN_PATH_BYTES) {
    throw new SluiceError("BAD_ARGUMENT", `The path of a Unix socket has [${byteCount}] bytes, at most [107] fit.`);
  }
  memory.writeUInt16LE(AF_UNIX, NAME_AT);
  memory.write(path, NAME_AT + SUN_PATH_OFFSET);
  return SUN_PATH_OFFSET + byteCount + 1;
}

function newSocket(type: number): number {
  const fd = libc().socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) as number;
  if (fd < 0) throw failure("socket");
  return fd;
}

function boundSocket(type: number, path: string): number {
  const fd = newSocket(type);
  try {
    const nameLength = writeName(path);
    if (libc().bind(fd, libc().memory.subarray(NAME_AT), nameLength) !== 0) throw failure("bind");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A stream socket that listens at `path`; the descriptor is the caller's to pass on and to close. Throws with the system's code. */
export function listenAt(path: string): number {
  const fd = boundSocket(SOCK_STREAM, path);
  if (libc().listen(fd, BACKLOG) === 0) return fd;
  const error = failure("listen");
  closeSync(fd);
  throw error;
}

/** A datagram socket at `path`, for `receiveHandle`. */
export const receiverAt = (path: string): number => boundSocket(SOCK_DGRAM, path);

/** A datagram socket without a name, for `sendHandle`. */
export const newSender = (): number => newSocket(SOCK_DGRAM);

/** Fills the msghdr but for its name. */
function writeHeader(tagBytes: number): Buffer {
  const { memory } = libc();
  const address = koffi.address(memory);
  memory.fill(0, 0, NAME_AT);
  memory.writeBigUInt64LE(address + BigInt(IOVEC_AT), MSGHDR.iov);
  memory.writeBigUInt64LE(1n, MSGHDR.iovLength);
  memory.writeBigUInt64LE(address + BigInt(CONTROL_AT), MSGHDR.control);
  memory.writeBigUInt64LE(BigInt(CONTROL_BYTES), MSGHDR.controlLength);
  memory.writeBigUInt64LE(address + BigInt(TAG_AT), IOVEC_AT);
  memory.writeBigUInt64LE(BigInt(tagBytes), IOVEC_AT + 8);
  memory.fill(0, CONTROL_AT, TAG_AT + TAG_BYTES_MAX);
  return memory;
}

/**
 * Sends a copy of the descriptor `fd`, which stays open here, under `tag` (1 to TAG_BYTES_MAX bytes) to the receiver at `path`, or without
 * one to the receiver that the sender is joined with. It is in the receiver's hands when this returns: whatever is said to it later comes later. Throws with the system's code, such as EAGAIN when the
 * receiver has not taken what was sent before, or ECONNREFUSED when it is gone.
 */
export function sendHandle(message: {
  readonly sender: number;
  readonly path?: string;
  readonly fd: number;
  readonly tag: Uint8Array;
}): void {
  const { sender, path, fd, tag } = message;
  if (tag.byteLength < 1 || tag.byteLength > TAG_BYTES_MAX) throw new Error(`A tag has ${tag.byteLength} bytes.`);
  const nameLength = path === undefined ? 0 : writeName(path);
  const memory = writeHeader(tag.byteLength);
  if (nameLength > 0) memory.writeBigUInt64LE(koffi.address(memory) + BigInt(NAME_AT), MSGHDR.name);
  memory.writeUInt32LE(nameLength, MSGHDR.nameLength);
  memory.writeBigUInt64LE(BigInt(CONTROL_LENGTH), CONTROL_AT);
  memory.writeInt32LE(SOL_SOCKET, CONTROL_AT + 8);
  memory.writeInt32LE(SCM_RIGHTS, CONTROL_AT + 12);
  memory.writeInt32LE(fd, CONTROL_AT + 16);
  memory.set(tag, TAG_AT);
  const sent = Number(libc().sendmsg(sender, memory, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (sent !== tag.byteLength) throw failure("sendmsg");
}

/**
 * Takes the descriptor that was sent under `tag`, closing those that were sent before it and never asked for: of a daemon that died in
 * between. Undefined when there is none, or when this process may open no more.
 */
export function receiveHandle(receiver: number, tag: Uint8Array): number | undefined {
  for (;;) {
    const memory = writeHeader(TAG_BYTES_MAX);
    const received = Number(libc().recvmsg(receiver, memory, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
    if (received < 0) return undefined;
    const isHandle =
      memory.readBigUInt64LE(MSGHDR.controlLength) >= BigInt(CONTROL_LENGTH) &&
      memory.readInt32LE(CONTROL_AT + 8) === SOL_SOCKET &&
      memory.readInt32LE(CONTROL_AT + 12) === SCM_RIGHTS;
    const fd = isHandle ? memory.readInt32LE(CONTROL_AT + 16) : undefined;
    if (memory.subarray(TAG_AT, TAG_AT + received).equals(tag)) return fd;
    if (fd !== undefined) closeSync(fd);
  }
}

/** Closes what was sent and not asked for, so that those whose connections these are need not wait for an answer. */
export const closeHandles = (receiver: number): void => void receiveHandle(receiver, NO_TAG);
