/** A table that can be sorted by its headings, and that becomes a list of cards where there is no room for columns. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

export interface Column<Row> {
  readonly name: string;
  /** Where the name is empty: what the column is, for who cannot see it. */
  readonly label?: string;
  readonly title?: string;
  readonly isNumber?: boolean;
  /** Shown only where there is much room. */
  readonly isWide?: boolean;
  /** Names the row. */
  readonly isHead?: boolean;
  readonly cell: (row: Row) => ComponentChildren;
  /** What the column is sorted by; not sortable without. */
  readonly order?: (row: Row) => string | number;
}

export interface TableProps<Row> {
  readonly name: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** What to say where there are no rows. */
  readonly none: string;
  /** What stands below a row, where something does. */
  readonly below?: (row: Row) => ComponentChildren;
}

/** Rows drawn at once; more are a click away. */
const ROWS_SHOWN = 200;

interface Sorting {
  readonly name: string;
  readonly isDescending: boolean;
}

const collator = new Intl.Collator("en", { numeric: true });

function compare(a: string | number, b: string | number): number {
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
}

function sorted<Row>({ rows, columns }: TableProps<Row>, sorting: Sorting | undefined): readonly Row[] {
  const order = columns.find(({ name }) => name === sorting?.name)?.order;
  if (order === undefined || sorting === undefined) return rows;
  const sign = sorting.isDescending ? -1 : 1;
  return [...rows].sort((a, b) => sign * compare(order(a), order(b)));
}

export function Table<Row>(props: TableProps<Row>) {
  const { name, columns, rows, keyOf, none, below } = props;
  const [sorting, setSorting] = useState<Sorting | undefined>(undefined);
  const [shownMax, setShownMax] = useState(ROWS_SHOWN);
  const all = sorted(props, sorting);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard.
    <section class="table-frame" aria-label={name} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={column.name} column={column} sorting={sorting} onSort={setSorting} />
            ))}
          </tr>
        </thead>
        <tbody>
          {all.slice(0, shownMax).map((row) => {
            const more = below?.(row);
            return (
              <>
                <tr key={keyOf(row)} data-row={keyOf(row)}>
                  {columns.map((column) => (
                    <Cell key={column.name} column={column} row={row} />
                  ))}
                </tr>
                {more !== undefined && more !== null && (
                  <tr class="row-below">
                    <td colSpan={columns.length}>{more}</td>
                  </tr>
                )}
              </>
            );
          })}
        </tbody>
      </table>
      {rows.length === 0 && <p class="quiet none">{none}</p>}
      {all.length > shownMax && (
        <button type="button" class="button" onClick={() => setShownMax(shownMax + ROWS_SHOWN)}>
          Show {Math.min(ROWS_SHOWN, all.length - shownMax)} more of {all.length}
        </button>
      )}
    </section>
  );
}

const classOf = ({ isNumber = false, isWide = false }: { readonly isNumber?: boolean; readonly isWide?: boolean }) =>
  `${isNumber ? "number" : ""} ${isWide ? "is-wide" : ""}`;

function Heading<Row>(props: {
  readonly column: Column<Row>;
  readonly sorting: Sorting | undefined;
  readonly onSort: (sorting: Sorting) => void;
}) {
  const { column, sorting, onSort } = props;
  const { name, label, title, order } = column;
  const isNumber = column.isNumber === true;
  const isSorted = sorting?.name === name;
  const direction = sorting?.isDescending === true ? "descending" : "ascending";
  return (
    <th
      scope="col"
      class={classOf(column)}
      aria-sort={isSorted ? direction : undefined}
      {...(title === undefined ? {} : { title })}
    >
      {order === undefined ? (
        <span class={name === "" ? "hidden" : ""}>{name || label}</span>
      ) : (
        <button
          type="button"
          class="sort"
          onClick={() => onSort({ name, isDescending: isSorted ? sorting?.isDescending !== true : isNumber })}
        >
          {name}
          <i aria-hidden="true">{isSorted ? (sorting?.isDescending === true ? "↓" : "↑") : ""}</i>
        </button>
      )}
    </th>
  );
}

function Cell<Row>({ column, row }: { readonly column: Column<Row>; readonly row: Row }) {
  const { name, isHead = false, cell } = column;
  if (isHead) {
    return (
      <th scope="row" data-name={name}>
        {cell(row)}
      </th>
    );
  }
  return (
    <td class={classOf(column)} data-name={name}>
      {cell(row)}
    </td>
  );
}
