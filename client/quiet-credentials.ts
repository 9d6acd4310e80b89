/**
 * gRPC credentials whose connections never keep the program alive. gRPC has no switch for that: it holds the event loop while any
 * call is open, and heartbeats are one call that stays open for the life of a lease. A program that has forgotten its lease must end.
 *
 * It wraps a method of ChannelCredentials that gRPC does not document; where that is missing, connections are ordinary ones.
 */
import type { Socket } from "node:net";
import type { ChannelCredentials } from "@grpc/grpc-js";

function quiet(socket: Socket): void {
  socket.unref();
  socket.ref = () => socket;
}

/** Takes credentials of its own: they become quiet. */
export function quietCredentials(inner: ChannelCredentials): ChannelCredentials {
  const createConnector = inner._createSecureConnector?.bind(inner);
  if (createConnector === undefined) return inner;
  inner._createSecureConnector = (...options) => {
    const connector = createConnector(...options);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      quiet(socket);
      const connected = await connect(socket);
      // With TLS another socket stands in front of it.
      quiet(connected.socket);
      return connected;
    };
    return connector;
  };
  // Equal credentials share a connection, and these must not share theirs.
  inner._equals = (other) => other === inner;
  return inner;
}
