/** What the page knows and shows: the pool, the connection, the session. One of it; components subscribe. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, type Session, session } from "../api.ts";
import { type Connection, Feed } from "./feed.ts";
import { applied, emptyModel, type PoolModel } from "./pool-model.ts";

export interface LiveState {
  readonly model: PoolModel;
  readonly connection: Connection;
  /** Undefined until the server has said who we are. */
  readonly session: Session | undefined;
  readonly needsLogin: boolean;
}

let state: LiveState = {
  model: emptyModel,
  connection: { state: "connecting" },
  session: undefined,
  needsLogin: false,
};
/** The server's clock minus ours. */
let clockOffsetMs = 0;
let feed: Feed | undefined;
let frame: number | undefined;
const listeners = new Set<() => void>();

/** The server's clock. */
export const serverNow = (): number => Date.now() + clockOffsetMs;

function change(part: Partial<LiveState>): void {
  state = { ...state, ...part };
  // At most once a frame; a page that nobody sees draws nothing.
  if (frame !== undefined) return;
  frame = requestAnimationFrame(() => {
    frame = undefined;
    for (const listener of listeners) listener();
  });
}

/** Asks who we are and begins to watch; also after a login. */
export async function start(): Promise<void> {
  try {
    const known = await session();
    change({ session: known, needsLogin: false });
    feed ??= openFeed();
  } catch (error) {
    if (error instanceof ApiError && error.code === "UNAUTHENTICATED") {
      feed?.stop();
      feed = undefined;
      change({ needsLogin: true, model: emptyModel, session: undefined, connection: { state: "connecting" } });
      return;
    }
    feed ??= openFeed();
  }
}

function openFeed(): Feed {
  return new Feed({
    message: (message) => {
      const model = applied(state.model, message);
      if (model === undefined) return false;
      clockOffsetMs = message.nowAtMs - Date.now();
      change({ model });
      return true;
    },
    connection: (connection) => {
      const isBack = connection.state === "live" && state.connection.state !== "live";
      if (connection.state !== "live" || isBack) change({ connection });
      // Another version, or another login, may be behind the new connection.
      if (isBack && state.session === undefined) void start();
    },
    lost: () => void start(),
  });
}

/** All of it, and again whenever any of it changes. */
export function useLive(): LiveState {
  const redraw = useState(0)[1];
  useEffect(() => {
    const listener = (): void => redraw((count) => count + 1);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, []);
  return state;
}

/** The server's clock, fresh every second. */
export function useNow(): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
