/**
 * gRPC credentials whose connections never keep the program alive. gRPC has no switch for that: it holds the event loop while any
 * call is open, and heartbeats are one call that stays open for the life of a lease. A program that has forgotten its lease must end.
 *
 * It wraps a method of ChannelCredentials that gRPC does not document; where that is missing, connections are ordinary ones.
 */
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";

export function quietCredentials(): ChannelCredentials {
  const inner = credentials.createInsecure();
  const createConnector = inner._createSecureConnector?.bind(inner);
  if (createConnector === undefined) return inner;
  inner._createSecureConnector = (...options) => {
    const connector = createConnector(...options);
    const connect = connector.connect.bind(connector);
    connector.connect = async (socket) => {
      socket.unref();
      socket.ref = () => socket;
      return connect(socket);
    };
    return connector;
  };
  // Equal credentials share a connection, and these must not share theirs.
  inner._equals = (other) => other === inner;
  return inner;
}
