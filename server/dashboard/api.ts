/** The server's calls, as JSON over HTTP. What goes wrong is an ApiError with the server's own words. */
import type { MethodDefinition } from "@grpc/proto-loader";
import type { AdminServiceDefinition } from "../../proto/generated/sluice/v1/AdminService.ts";
import type { PoolServiceDefinition } from "../../proto/generated/sluice/v1/PoolService.ts";

export class ApiError extends Error {
  readonly code: string;
  readonly remedy: string;

  constructor(code: string, message: string, remedy: string) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

/** Who looks, and at which server. */
export interface Session {
  readonly tenant: string;
  readonly role: "admin" | "monitor" | "tenant";
  /** Whether the server asks nobody for a token. */
  readonly isOpen: boolean;
  readonly serverVersion: string;
  /** HOST:PORT for clients. */
  readonly grpcAddress: string;
}

async function answerOf<Answer>(path: string, init?: RequestInit): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError("SERVER_UNREACHABLE", "The server does not answer.", "Look whether it runs, then try again.");
  }
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ApiError("INTERNAL", `The server answers with [${response.status}] and no words.`, "Look at its log.");
  }
  if (response.ok) return body as Answer;
  const { code = "INTERNAL", message = "The server fails.", remedy = "" } = body as Partial<ApiError>;
  throw new ApiError(code, message, remedy);
}

const post = <Answer>(path: string, body: unknown): Promise<Answer> =>
  answerOf(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

type MethodsOf<Service extends string, Definition> = {
  [Name in keyof Definition as string extends Name ? never : `${Service}/${Name & string}`]: Definition[Name];
};
type Methods = MethodsOf<"AdminService", AdminServiceDefinition> & MethodsOf<"PoolService", PoolServiceDefinition>;
type RequestOf<Method> = Method extends MethodDefinition<infer Request, infer _R, infer _O, infer _A> ? Request : never;
type AnswerOf<Method> = Method extends MethodDefinition<infer _Q, infer _R, infer _O, infer Answer> ? Answer : never;

/** Calls an RPC. Its answer is what the contract says: a field that is not set has its default there. @throws ApiError */
export const call = <Name extends keyof Methods>(
  method: Name,
  request: RequestOf<Methods[Name]>,
): Promise<AnswerOf<Methods[Name]>> => post(`/api/${method}`, request);

/** Exchanges a token for a cookie that scripts cannot read. @throws ApiError UNAUTHENTICATED, TOO_MANY_REQUESTS */
export const login = (token: string): Promise<unknown> => post("/api/login", { token });

export const logout = (): Promise<unknown> => post("/api/logout", {});

/** @throws ApiError UNAUTHENTICATED where a login is needed */
export const session = (): Promise<Session> => answerOf("/api/session");
