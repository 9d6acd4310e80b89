/**
 * The unary RPCs over HTTP, as `POST /api/SERVICE/METHOD` with the request as JSON or protobuf and the answer alike: the same handlers
 * as over gRPC, behind the same checks. It knows no RPC by name.
 */
import type { IncomingMessage } from "node:http";
import {
  Metadata,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { fromStatus } from "../../proto/load.ts";
import { SluiceError } from "../../shared/errors.ts";
import { peerOf } from "./caller.ts";
import { answer, answerJson, bodyOf } from "./exchange.ts";
import type { Route } from "./http-server.ts";
import { requireDataBody } from "./same-origin.ts";

type Unary = (call: ServerUnaryCall<unknown, unknown>, done: (error: unknown, response?: unknown) => void) => void;

interface Method {
  readonly definition: MethodDefinition<unknown, unknown>;
  readonly handler: Unary;
}

/** A service of the contract with its handlers. */
export interface BridgedService {
  readonly service: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

const PREFIX = "/api/";

/** `bearer` tells the token behind a request. */
export function rpcBridge(
  services: readonly BridgedService[],
  bearer: (request: IncomingMessage) => string | undefined,
): Route {
  const methods = new Map<string, Method>();
  for (const { service, handlers } of services) {
    for (const [name, definition] of Object.entries(service)) {
      const handler = handlers[name] as Unary | undefined;
      if (definition.requestStream || definition.responseStream || handler === undefined) continue;
      // `/sluice.v1.AdminService/Revoke` becomes `/api/AdminService/Revoke`.
      methods.set(PREFIX + definition.path.replace(/^\/[\w.]*\.(?=\w+\/)/, ""), { definition, handler });
    }
  }
  return {
    method: "POST",
    path: PREFIX,
    access: "login",
    handle: async ({ request, response, url }) => {
      const method = methods.get(url.pathname);
      if (method === undefined) throw new SluiceError("NO_SUCH_PAGE", "There is no such call.");
      const form = requireDataBody(request);
      const bytes = await bodyOf(request);
      const { definition } = method;
      const asked = definition.requestDeserialize(form === "json" ? fromJson(definition, bytes) : bytes);
      const answered = definition.responseSerialize(await call(method, { request, asked, token: bearer(request) }));
      if (form === "json") answerJson(response, definition.responseDeserialize(answered));
      else answer(response, answered, { headers: { "content-type": "application/x-protobuf" } });
    },
  };
}

/** JSON with the field names of the contract in camel case. @throws SluiceError BAD_ARGUMENT */
function fromJson({ requestSerialize }: Method["definition"], bytes: Buffer): Buffer {
  try {
    const value: unknown = bytes.byteLength === 0 ? {} : JSON.parse(bytes.toString("utf8"));
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("it is no object");
    return requestSerialize(value);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SluiceError("BAD_ARGUMENT", `The request is not readable [${why.slice(0, 200)}].`);
  }
}

interface Asked {
  readonly request: IncomingMessage;
  readonly asked: unknown;
  readonly token: string | undefined;
}

function call({ handler }: Method, of: Asked): Promise<unknown> {
  const metadata = new Metadata();
  if (of.token !== undefined) metadata.set("authorization", `Bearer ${of.token}`);
  // What handlers may ask of a call.
  const asIfGrpc = { request: of.asked, metadata, cancelled: false, getPeer: () => peerOf(of.request) };
  return new Promise((resolve, reject) => {
    handler(asIfGrpc as unknown as ServerUnaryCall<unknown, unknown>, (error, response) => {
      if (error === null || error === undefined) resolve(response);
      else reject(fromStatus(error as ServiceError));
    });
  });
}
