/**
 * Two sockets of the system that are joined, for connections that end in the daemon (TLS, gRPC) but are handed to executors like any
 * other: one end is handed on, the daemon carries bytes to and from the other. An executor's rehearsal plays both ends. Through libc, as
 * Node makes no pairs. Linux only.
 */
import { Socket } from "node:net";
import { SluiceError } from "../../shared/errors.ts";
import koffi from "../device/native.ts";

const AF_UNIX = 1;
const types = { stream: 1, datagram: 2 } as const;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/** A copy of the descriptor, not below the last argument, which a program that this process starts does not get. */
const F_DUPFD_CLOEXEC = 1030;

type Fcntl = (fd: number, command: number, type: "int", value: number) => number;
let fcntl: Fcntl | undefined;

type SocketPair = (domain: number, type: number, protocol: number, fds: Int32Array) => number;
let socketpair: SocketPair | undefined;

/** Descriptors that are the caller's to close. Throws SluiceError TOO_MANY_CONNECTIONS when the process may open no more. */
export function joinedDescriptors(type: keyof typeof types): readonly [number, number] {
  socketpair ??= koffi.load(null).func("socketpair", "int", ["int", "int", "int", "void *"]) as unknown as SocketPair;
  const fds = new Int32Array(2);
  if (socketpair(AF_UNIX, types[type] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) !== 0) {
    throw new SluiceError("TOO_MANY_CONNECTIONS", `The server cannot open another connection [${koffi.errno()}].`);
  }
  return [fds[0]!, fds[1]!];
}

/** The socket of a connected descriptor, which is the socket's from then on. */
export const socketOf = (fd: number): Socket => new Socket({ fd, readable: true, writable: true });

/** @throws SluiceError TOO_MANY_CONNECTIONS when the process may open no more */
export function joinedSockets(): readonly [Socket, Socket] {
  const [one, other] = joinedDescriptors("stream");
  return [socketOf(one), socketOf(other)];
}

/**
 * Another socket on the same connection, for writing alone, so that what fails there costs nothing that is still to be read. The caller's to
 * destroy. The same one where the process may open no other.
 */
export function writerOf(socket: Socket): Socket {
  fcntl ??= koffi.load(null).func("int fcntl(int, int, ...)") as unknown as Fcntl;
  const { _handle: handle } = socket as { _handle?: { fd?: number } | null };
  const fd = fcntl(handle?.fd ?? -1, F_DUPFD_CLOEXEC, "int", 0);
  return fd < 0 ? socket : new Socket({ fd, readable: false, writable: true });
}
