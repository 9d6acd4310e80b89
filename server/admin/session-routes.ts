/** Logging in with a token, logging out, and who one is. The cookie is the browser's sessions' business. */
import { SluiceError } from "../../shared/errors.ts";
import type { Access } from "../access/access.ts";
import { peerOf } from "./caller.ts";
import { answerJson, bodyOf } from "./exchange.ts";
import type { Route } from "./http-server.ts";
import { requireDataBody } from "./same-origin.ts";

export interface SessionRoutesOptions {
  readonly access: Access;
  readonly serverVersion: string;
  /** Where clients find the server, HOST:PORT. */
  readonly grpcAddress: string;
}

export function sessionRoutes({ access, serverVersion, grpcAddress }: SessionRoutesOptions): Route[] {
  const { sessions, tokens } = access;
  return [
    {
      method: "GET",
      path: "/api/session",
      access: "login",
      handle: ({ response, caller: { tenant, role } }) =>
        answerJson(response, { tenant, role, isOpen: tokens.open, serverVersion, grpcAddress }),
    },
    {
      method: "POST",
      path: "/api/login",
      access: "own",
      handle: async ({ request, response }) => {
        requireDataBody(request);
        const { setCookie, identity } = sessions.login(tokenIn(await bodyOf(request)), peerOf(request));
        response.setHeader("set-cookie", setCookie);
        answerJson(response, { tenant: identity.tenant, role: identity.role });
      },
    },
    {
      method: "POST",
      path: "/api/logout",
      access: "own",
      handle: async ({ request, response }) => {
        requireDataBody(request);
        await bodyOf(request);
        response.setHeader("set-cookie", sessions.logout(request.headers.cookie));
        answerJson(response, {});
      },
    },
  ];
}

/** The token of `{"token": "..."}`. @throws SluiceError BAD_ARGUMENT, which quotes nothing */
function tokenIn(body: Buffer): string {
  try {
    const { token } = JSON.parse(body.toString("utf8")) as { token?: unknown };
    if (typeof token === "string" && token !== "") return token.trim();
  } catch {
    // Said below, as for a body without one.
  }
  throw new SluiceError("BAD_ARGUMENT", "The request holds no token.");
}
