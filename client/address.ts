/** Addresses as people write them: `HOST`, `HOST:PORT`, `[::1]:PORT`. */
import { isIPv6 } from "node:net";
import { SluiceError } from "../shared/errors.ts";

export const SERVER_PORT_DEFAULT = 7460;

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/** @throws SluiceError BAD_ARGUMENT for anything else. */
export function parseHostPort(text: string, portDefault?: number): HostPort {
  const match = /^(?:\[([^\]]+)\]|([\p{L}\p{N}_][\p{L}\p{N}_.-]{0,252}))(?::(\d{1,5}))?$/u.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? portDefault : Number(match[3]);
  const isNumber = match?.[1] === undefined || isIPv6(match[1]);
  if (host === undefined || !isNumber || port === undefined || port < 1 || port > 65_535) {
    throw new SluiceError("BAD_ARGUMENT", `A server's address is like gpus.example:7460, and [${text}] is not.`);
  }
  return { host, port };
}

/** The host as it stands in an address: an IPv6 one in brackets. */
export const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** As short as people say it: without the port that is everybody's. */
export const shortAddress = ({ host, port }: HostPort): string =>
  port === SERVER_PORT_DEFAULT ? host : `${bracketed(host)}:${port}`;

/** The port of gRPC at an address. @throws SluiceError BAD_ARGUMENT */
export const portOf = (address: string): number => parseHostPort(address, SERVER_PORT_DEFAULT).port;

/** Whether two texts are one address of gRPC; `portDefault` is the port of the second where it has none. @throws SluiceError BAD_ARGUMENT for what is none. */
export function isSameServer(a: string, b: string, portDefault = SERVER_PORT_DEFAULT): boolean {
  const [one, other] = [parseHostPort(a, SERVER_PORT_DEFAULT), parseHostPort(b, portDefault)];
  return one.host === other.host && one.port === other.port;
}
