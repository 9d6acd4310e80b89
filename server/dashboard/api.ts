/** The server's calls, as JSON over HTTP. What goes wrong is an ApiError with the server's own words. */

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

const post = <Answer>(path: string, body: object): Promise<Answer> =>
  answerOf(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** Calls an RPC. @throws ApiError */
export const call = <Answer = unknown>(
  method: `${"AdminService" | "PoolService"}/${string}`,
  request: object,
): Promise<Answer> => post(`/api/${method}`, request);

/** Exchanges a token for a cookie that scripts cannot read. @throws ApiError UNAUTHENTICATED, TOO_MANY_REQUESTS */
export const login = (token: string): Promise<unknown> => post("/api/login", { token });

export const logout = (): Promise<unknown> => post("/api/logout", {});

/** @throws ApiError UNAUTHENTICATED where a login is needed */
export const session = (): Promise<Session> => answerOf("/api/session");
