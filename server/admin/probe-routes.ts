/** What monitoring asks the admin port: metrics for admins and monitors, and two probes that anybody may ask and that tell nothing else. */
import { requireReader } from "../access/identity.ts";
import { answer } from "./exchange.ts";
import type { Route } from "./http-server.ts";
import type { Metrics } from "./metrics.ts";

const TEXT = { "content-type": "text/plain; charset=utf-8" };

/** `whyNotReady` tells why no leases are granted; undefined where they are. */
export function probeRoutes(metrics: Metrics, whyNotReady: () => string | undefined): Route[] {
  return [
    {
      method: "GET",
      path: "/metrics",
      access: "login",
      handle: async ({ response, caller }) => {
        requireReader(caller);
        answer(response, await metrics.text(), { headers: { "content-type": metrics.contentType } });
      },
    },
    {
      method: "GET",
      path: "/healthz",
      access: "page",
      handle: ({ response }) => answer(response, "ok\n", { headers: TEXT }),
    },
    {
      method: "GET",
      path: "/readyz",
      access: "page",
      handle: ({ response }) => {
        const why = whyNotReady();
        answer(response, `${why ?? "ready"}\n`, { status: why === undefined ? 200 : 503, headers: TEXT });
      },
    },
  ];
}
