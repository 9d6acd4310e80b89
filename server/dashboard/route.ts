/** Where in the page the reader is: the part of the address behind the #, such as `#/leases/lease-1`. */
import { useEffect, useState } from "preact/hooks";

export interface Route {
  /** `pool` where the address names nothing. */
  readonly page: string;
  /** What of the page is open; empty for all of it. */
  readonly item: string;
}

function read(): Route {
  const [, page = "", item = ""] = location.hash.split("/");
  try {
    return { page: page || "pool", item: decodeURIComponent(item) };
  } catch {
    return { page: "pool", item: "" };
  }
}

export const linkTo = (page: string, item?: string): string =>
  item === undefined ? `#/${page}` : `#/${page}/${encodeURIComponent(item)}`;

export function useRoute(): Route {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const changed = (): void => setRoute(read());
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}
