/**
 * Services of libraries that not every server is asked for, and that take a fifth of its start to load: they are loaded at the first call.
 * Until then gRPC knows their methods, and bytes instead of messages.
 */
import { EventEmitter } from "node:events";
import type { Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { toStatus } from "../../proto/load.ts";
import { toSluiceError } from "../../shared/errors.ts";

export interface LateMethod {
  /** `/SERVICE/METHOD`. */
  readonly path: string;
  readonly requestStream?: true;
  readonly responseStream?: true;
}

/** What a library adds to a server. */
type Adds = (server: Pick<Server, "addService">) => void;

interface Found {
  readonly definition: ServiceDefinition[string];
  readonly handler: UntypedServiceImplementation[string];
}

/** What handlers of libraries use of the calls of gRPC. */
type Call = EventEmitter & {
  readonly request?: Buffer;
  readonly write: (bytes: Buffer) => boolean;
  readonly end: () => void;
};
type Done = (error: unknown, response?: Buffer | null) => void;

const asIs = (bytes: Buffer): Buffer => bytes;

/** Adds methods to a server. `load` is called once, at the first call; it brings what adds their services. */
export function addLateServices(server: Server, methods: readonly LateMethod[], load: () => Promise<Adds>): void {
  let loaded: Promise<Map<string, Found>> | undefined;
  const found = async (path: string): Promise<Found> => {
    loaded ??= load().then(methodsOf);
    return (await loaded).get(path)!;
  };
  const services = new Map<string, readonly LateMethod[]>();
  for (const method of methods) {
    const service = serviceOf(method);
    services.set(service, [...(services.get(service) ?? []), method]);
  }
  for (const own of services.values()) {
    const definition = own.map(({ path, requestStream = false, responseStream = false }) => {
      const forms = {
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      };
      return [path, { path, requestStream, responseStream, ...forms }] as const;
    });
    const handlers = own.map(({ path, requestStream, responseStream }) => [
      path,
      requestStream || responseStream
        ? (call: Call) => void found(path).then((method) => stream(method, call), fail(call))
        : (call: Call, done: Done) => void found(path).then((method) => unary(method, call, done), done),
    ]);
    server.addService(Object.fromEntries(definition), Object.fromEntries(handlers));
  }
}

const serviceOf = ({ path }: LateMethod): string => path.slice(0, path.lastIndexOf("/"));

const fail =
  (call: EventEmitter) =>
  (error: unknown): void => {
    call.emit("error", toStatus(toSluiceError(error)));
  };

/** The methods that a library adds, by their paths. */
function methodsOf(add: Adds): Map<string, Found> {
  const found = new Map<string, Found>();
  add({
    addService: (service, handlers) => {
      for (const [name, definition] of Object.entries(service)) {
        const handler = handlers[name] ?? handlers[definition.originalName ?? name];
        if (handler !== undefined) found.set(definition.path, { definition, handler });
      }
    },
  });
  return found;
}

function unary({ definition, handler }: Found, call: Call, done: Done): void {
  const request: unknown = definition.requestDeserialize(call.request!);
  const answer = (error: unknown, response: unknown): void =>
    done(error, response ? definition.responseSerialize(response) : null);
  (handler as unknown as (call: object, done: typeof answer) => void)({ request }, answer);
}

function stream({ definition, handler }: Found, call: Call): void {
  const of = {
    ...(definition.requestStream ? {} : { request: definition.requestDeserialize(call.request!) as unknown }),
    write: (message: unknown) => call.write(definition.responseSerialize(message)),
    end: () => call.end(),
  };
  const inner = Object.assign(new EventEmitter(), of);
  inner.on("error", (error) => call.emit("error", error));
  (handler as unknown as (call: EventEmitter) => void)(inner);
  call.on("cancelled", () => inner.emit("cancelled"));
  if (!definition.requestStream) return;
  call.on("end", () => inner.emit("end"));
  call.on("data", (bytes: Buffer) => inner.emit("data", definition.requestDeserialize(bytes)));
}
