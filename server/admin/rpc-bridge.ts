/**
 * The RPCs over HTTP, as `POST /api/SERVICE/METHOD` with the request as JSON or protobuf and the answer alike: the same handlers
 * as over gRPC, behind the same checks. It knows no RPC by name.
 */
import { isUtf8 } from "node:buffer";
import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import {
  Metadata,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { complaintAbout, fromStatus, requestFromJson } from "../../proto/load.ts";
import { SluiceError } from "../../shared/errors.ts";
import { vouch } from "../access/guard.ts";
import type { Identity } from "../access/identity.ts";
import { peerOf } from "./caller.ts";
import { answer, answerJson, bodyOf } from "./exchange.ts";
import type { Route } from "./http-server.ts";
import { requireDataBody } from "./same-origin.ts";

type Unary = (call: ServerUnaryCall<unknown, unknown>, done: (error: unknown, response?: unknown) => void) => void;

interface Method {
  readonly definition: MethodDefinition<unknown, unknown>;
  readonly handler: UntypedServiceImplementation[string];
}

/** A service of the contract with its handlers. */
export interface BridgedService {
  readonly service: ServiceDefinition;
  /** Behind the gate. */
  readonly handlers: UntypedServiceImplementation;
  /** Whether RPCs that answer with a stream are there too, with the first message as their answer. What they do goes on. */
  readonly firstOfStreams?: boolean;
}

const PREFIX = "/api/";

export function rpcBridge(services: readonly BridgedService[]): Route {
  const methods = new Map<string, Method>();
  for (const { service, handlers, firstOfStreams = false } of services) {
    for (const [name, definition] of Object.entries(service)) {
      const handler = handlers[name];
      if (definition.requestStream || handler === undefined) continue;
      if (definition.responseStream && !firstOfStreams) continue;
      // `/sluice.v1.AdminService/Revoke` becomes `/api/AdminService/Revoke`.
      methods.set(PREFIX + definition.path.replace(/^\/[\w.]*\.(?=\w+\/)/, ""), { definition, handler });
    }
  }
  return {
    method: "POST",
    path: PREFIX,
    access: "login",
    handle: async ({ request, response, url, caller }) => {
      const method = methods.get(url.pathname);
      if (method === undefined) throw new SluiceError("NO_SUCH_PAGE", "There is no such call.");
      const form = requireDataBody(request);
      const bytes = await bodyOf(request);
      const { definition } = method;
      const asked =
        form === "json" ? requestFromJson(definition.path, utf8Of(bytes)) : definition.requestDeserialize(bytes);
      const complaint = complaintAbout(asked);
      if (complaint !== undefined) throw complaint;
      const answered = definition.responseSerialize(await call(method, { request, asked, caller }));
      if (form === "json") answerJson(response, definition.responseDeserialize(answered));
      else answer(response, answered, { headers: { "content-type": "application/x-protobuf" } });
    },
  };
}

/** @throws SluiceError BAD_ARGUMENT */
function utf8Of(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new SluiceError("BAD_ARGUMENT", "The request is not in UTF-8.");
  return bytes.toString("utf8");
}

interface Asked {
  readonly request: IncomingMessage;
  readonly asked: unknown;
  readonly caller: Identity;
}

/** Calls a handler as gRPC would, for a caller whom this port has identified. */
function call({ handler, definition }: Method, { request, asked, caller }: Asked): Promise<unknown> {
  const of = { request: asked, metadata: new Metadata(), cancelled: false, getPeer: () => peerOf(request) };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(fromStatus(error as ServiceError));
    if (definition.responseStream) {
      const stream = Object.assign(new EventEmitter(), of, {
        write: (message: unknown) => {
          resolve(message);
          return true;
        },
        end: () => {
          resolve({});
          // As gRPC's own stream says it: who follows the call lets go.
          stream.emit("finish");
        },
      });
      stream.on("error", fail);
      vouch(stream, caller);
      (handler as unknown as (stream: EventEmitter) => void)(stream);
      return;
    }
    vouch(of, caller);
    (handler as unknown as Unary)(of as unknown as ServerUnaryCall<unknown, unknown>, (error, response) => {
      if (error === null || error === undefined) resolve(response);
      else fail(error);
    });
  });
}
