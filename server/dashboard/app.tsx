/** The frame of the page: where one can go, whether the news is fresh, and the page itself. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { logout } from "./api.ts";
import { duration } from "./format.ts";
import { type LiveState, start, useLive, useNow } from "./live/live.ts";
import { EventsPage } from "./pages/events.tsx";
import { HistoryPage } from "./pages/history.tsx";
import { LeasePage } from "./pages/lease.tsx";
import { LeasesPage } from "./pages/leases.tsx";
import { LoginPage } from "./pages/login.tsx";
import { PoolPage } from "./pages/pool.tsx";
import { QueuePage } from "./pages/queue.tsx";
import { TenantsPage } from "./pages/tenants.tsx";
import { Mark } from "./parts/mark.tsx";
import { linkTo, type Route, useRoute } from "./route.ts";

interface Place {
  readonly page: string;
  readonly title: string;
  /** Of all tenants: for admins and monitors. */
  readonly isOfAll?: boolean;
  /** A number beside the title, where it says something. */
  readonly count?: (state: LiveState) => number;
}

const places: readonly Place[] = [
  { page: "pool", title: "Pool" },
  { page: "leases", title: "Leases", count: ({ model }) => model.leases.size },
  { page: "queue", title: "Queue", count: ({ model }) => model.waiting },
  { page: "history", title: "History" },
  { page: "tenants", title: "Tenants", isOfAll: true },
  { page: "events", title: "Events", isOfAll: true },
];

const roleWords = { admin: "Admin", monitor: "Monitor", tenant: "Tenant" } as const;

export function App() {
  const state = useLive();
  const route = useRoute();
  const isLost = state.connection.state === "lost";
  useEffect(() => {
    const title = places.find(({ page }) => page === route.page)?.title ?? "Pool";
    document.title = `${isLost ? "(no connection) " : ""}${title} · Sluice`;
  }, [route.page, isLost]);
  if (state.needsLogin) return <LoginPage />;
  return (
    <div class="frame">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Navigation state={state} route={route} />
      <div class="stage">
        <ConnectionBanner state={state} />
        <Main state={state} route={route} />
      </div>
    </div>
  );
}

function Navigation({ state, route }: { readonly state: LiveState; readonly route: Route }) {
  const seesAll = state.session?.role !== "tenant";
  return (
    <header class="side">
      <a class="brand" href={linkTo("pool")} aria-label="Sluice, the pool">
        <Mark />
        <span>Sluice</span>
      </a>
      <nav aria-label="Pages">
        {places
          .filter((place) => seesAll || place.isOfAll !== true)
          .map(({ page, title, count }) => {
            const number = count?.(state) ?? 0;
            return (
              <a key={page} href={linkTo(page)} aria-current={route.page === page ? "page" : undefined}>
                {title}
                {number > 0 && <span class="badge">{number}</span>}
              </a>
            );
          })}
      </nav>
      <Footer state={state} />
    </header>
  );
}

function Footer({ state: { session } }: { readonly state: LiveState }) {
  if (session === undefined) return null;
  // Whether or not the server hears of it, the page asks anew who is there.
  const leave = (): void => void logout().then(start, start);
  return (
    <div class="side-foot">
      {roleWords[session.role]} {session.tenant}
      <span>{session.grpcAddress}</span>
      <span>Sluice {session.serverVersion}</span>
      {!session.isOpen && (
        <button type="button" class="link" onClick={leave}>
          Log out
        </button>
      )}
    </div>
  );
}

/** Says when there is no news, and since when. */
function ConnectionBanner({ state: { connection } }: { readonly state: LiveState }) {
  useNow();
  return (
    <div role="status" class={`banner ${connection.state === "lost" ? "banner-lost" : ""}`}>
      {connection.state === "lost" && (
        <p>
          <strong>The connection to the server is lost.</strong> What you see is{" "}
          {duration(Date.now() - connection.sinceMs)} old. Trying again …
        </p>
      )}
    </div>
  );
}

function Main({ state, route }: { readonly state: LiveState; readonly route: Route }) {
  const main = useRef<HTMLElement>(null);
  const before = useRef(route.page);
  // At once, or it would take the focus from what the reader does next.
  useLayoutEffect(() => {
    // A reader without eyes hears where the link has led.
    if (before.current !== route.page) main.current?.querySelector("h1")?.focus({ preventScroll: true });
    before.current = route.page;
  }, [route.page]);
  const isStale = state.connection.state === "lost";
  return (
    <main id="main" ref={main} tabIndex={-1} class={isStale ? "is-stale" : ""}>
      <Page state={state} route={route} />
    </main>
  );
}

function Page({ state, route }: { readonly state: LiveState; readonly route: Route }) {
  if (state.model.sequence === 0) return <p class="quiet">{state.connection.state === "lost" ? "" : "Connecting …"}</p>;
  switch (route.page) {
    case "leases":
      return route.item === "" ? <LeasesPage state={state} /> : <LeasePage state={state} id={route.item} />;
    case "queue":
      return <QueuePage state={state} />;
    case "history":
      return <HistoryPage state={state} />;
    case "tenants":
      return <TenantsPage state={state} />;
    case "events":
      return <EventsPage />;
    default:
      return <PoolPage state={state} />;
  }
}
