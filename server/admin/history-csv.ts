/** The pool's past as a table for spreadsheets: a row for each step, a column for each series. */
import { csvCell } from "../../shared/csv.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { Identity } from "../access/identity.ts";
import type { PastOfPool, PastQuestion } from "../control/history-series.ts";
import { answer } from "./exchange.ts";
import type { Route } from "./http-server.ts";

/** Answers a question about the past; throws what the caller is told. */
export type AskPast = (caller: Identity, question: PastQuestion) => PastOfPool;

const spans = {
  hour: "HISTORY_SPAN_HOUR",
  day: "HISTORY_SPAN_DAY",
  week: "HISTORY_SPAN_WEEK",
} as const satisfies Record<string, PastQuestion["span"]>;

/** `GET /api/history.csv?span=hour|day|week&tenant=NAME&devices=1`. */
export const historyRoute = (ask: AskPast): Route => ({
  method: "GET",
  path: "/api/history.csv",
  access: "login",
  handle: ({ response, url: { searchParams }, caller }) => {
    const span = searchParams.get("span") ?? "hour";
    if (!Object.hasOwn(spans, span)) throw new SluiceError("BAD_ARGUMENT", "The span is none of [hour, day, week].");
    const past = ask(caller, {
      span: spans[span as keyof typeof spans],
      tenant: searchParams.get("tenant") ?? "",
      devices: searchParams.get("devices") === "1",
    });
    answer(response, csvOf(past), {
      headers: {
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": `attachment; filename="sluice-${span}.csv"`,
      },
    });
  },
});

export function csvOf({ atMs, series }: Omit<PastOfPool, "stepMs">): string {
  const head = ["time", ...series.map(({ kind, subject }) => csvCell(subject === "" ? kind : `${kind} ${subject}`))];
  const rows = atMs.map((at, index) => {
    const values = series.map(({ values: all }) => {
      const value = all[index] ?? Number.NaN;
      return Number.isNaN(value) ? "" : String(Math.round(value * 1_000) / 1_000);
    });
    return [new Date(at).toISOString(), ...values];
  });
  return `${[head, ...rows].map((row) => row.join(",")).join("\r\n")}\r\n`;
}
