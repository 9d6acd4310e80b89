/** Who counts as a caller of the server's own machine. */
import { expect, it } from "vitest";
import { isLoopbackPeer } from "../../server/access/identity.ts";

it.each(["127.0.0.1:5000", "127.3.2.1:1", "::1:5000", "[::1]:5000", "::ffff:127.0.0.1:5000"])(
  "%s is on this machine",
  (peer) => {
    expect(isLoopbackPeer(peer)).toBe(true);
  },
);

it.each([
  "10.0.0.1:5000",
  "::ffff:10.0.0.1:5000",
  "[2001:db8::1]:5000",
  "2001:db8::127.0.0.1:5000",
  "fe80::1:5000",
  "127.0.0.1.example:5000",
  "localhost.example:1",
  "unknown",
  "",
])("%j is not", (peer) => {
  expect(isLoopbackPeer(peer)).toBe(false);
});
