/** A server whose every answer is made of text that moves a terminal's cursor: in each field of each message, or in its errors. */
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import protobuf from "protobufjs/light.js";
import { descriptor } from "../../proto/generated/descriptor.ts";
import { contract, toStatus } from "../../proto/load.ts";
import { SluiceError } from "../../shared/errors.ts";

/** Clears the screen, sets the title, writes from right to left, in colours of two kinds, on two lines. */
export const hostileText = "\u001b[2J\u001b]0;title\u0007\u009b31m\u202eevil\u2028\r\n";

export interface HostileServer {
  /** HOST:PORT. */
  readonly address: string;
  /** Whether its answers are errors. */
  fails: boolean;
  stop(): void;
}

/** A message of that type with all of its fields; of oneofs the first. */
function hostileMessage(type: protobuf.Type): object {
  const others = new Set(type.oneofsArray.flatMap(({ fieldsArray }) => fieldsArray.slice(1)));
  const fields = type.fieldsArray.filter((field) => !others.has(field));
  return Object.fromEntries(fields.map((field) => [field.name, hostileField(field.resolve())]));
}

function hostileField(field: protobuf.Field): unknown {
  const value = hostileValue(field);
  if (field instanceof protobuf.MapField) return { [hostileText]: value };
  return field.repeated ? [value] : value;
}

function hostileValue({ type, resolvedType }: protobuf.Field): unknown {
  if (resolvedType instanceof protobuf.Type) return hostileMessage(resolvedType);
  if (resolvedType instanceof protobuf.Enum) return Object.values(resolvedType.values).at(-1);
  if (type === "string") return hostileText;
  if (type === "bytes") return Buffer.alloc(32, 7);
  return type === "bool" ? true : 7;
}

export async function startHostileServer(): Promise<HostileServer> {
  const root = protobuf.Root.fromJSON(
    descriptor as unknown as Parameters<typeof protobuf.Root.fromJSON>[0],
  ).resolveAll();
  const grpc = new Server();
  const state = { fails: false };
  const failure = () => {
    const reasons = [{ device: hostileText, code: "NOT_ENOUGH_MEMORY" as const, message: hostileText }];
    return toStatus(new SluiceError("NO_CAPACITY", hostileText, { reasons }));
  };
  for (const [name, { service }] of Object.entries({
    PoolService: contract.PoolService,
    AdminService: contract.AdminService,
  })) {
    const { methods } = root.lookupService(`sluice.v1.${name}`);
    const handlers = Object.entries(service).map(([method, { responseStream }]) => {
      const answer = hostileMessage(methods[method]!.resolvedResponseType!);
      const unary = (_call: ServerUnaryCall<unknown, object>, done: sendUnaryData<object>): void =>
        state.fails ? done(failure()) : done(null, answer);
      const stream = (call: {
        write(message: object): void;
        end(): void;
        emit(event: "error", error: object): void;
      }) => {
        if (state.fails) call.emit("error", failure());
        else {
          call.write(answer);
          call.end();
        }
      };
      return [method, responseStream ? stream : unary] as const;
    });
    grpc.addService(service, Object.fromEntries(handlers) as never);
  }
  const port = await new Promise<number>((resolve, reject) =>
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return Object.assign(state, { address: `127.0.0.1:${port}`, stop: () => grpc.forceShutdown() });
}
