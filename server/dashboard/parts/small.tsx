/** Small parts that many pages use. */
import type { ComponentChildren } from "preact";
import { colours } from "../colours.ts";
import { exactBytes, percent, size } from "../format.ts";
import { linkTo } from "../route.ts";

/** A tenant's name behind its colour. */
export function TenantName({ tenant }: { readonly tenant: string }) {
  return (
    <span class="tenant-name">
      <i class={`dot ${colours.classOf(tenant)}`} aria-hidden="true" />
      <span class="clip">{tenant}</span>
    </span>
  );
}

/** Bytes, short, with the exact number for who points at it. */
export function Bytes({ of }: { readonly of: number }) {
  return <span title={exactBytes(of)}>{size(of)}</span>;
}

/** A thin bar for a part of a whole. */
export function Meter(props: { readonly part: number; readonly label: string; readonly tone?: string }) {
  const { part, label, tone = "" } = props;
  const bounded = Math.min(1, Math.max(0, part));
  return (
    <span class="meter" role="img" aria-label={`${label}: ${percent(bounded)}`} title={`${label}: ${percent(bounded)}`}>
      <i class={tone} style={{ width: `${bounded * 100}%` }} />
    </span>
  );
}

/** What to do next where there is nothing to show. */
export function Empty({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Lines for a terminal. */
export function Command({ children }: { readonly children: string }) {
  return <pre class="command">{children}</pre>;
}

/** The heading of a page, which takes the focus when one comes to it. */
export function Title({
  children,
  aside,
}: {
  readonly children: ComponentChildren;
  readonly aside?: ComponentChildren;
}) {
  return (
    <div class="title">
      <h1 tabIndex={-1}>{children}</h1>
      {aside}
    </div>
  );
}

export function LeaseLink({ id, name }: { readonly id: string; readonly name: string }) {
  return (
    <a class="clip" href={linkTo("leases", id)} title={`${name} ${id}`}>
      {name || id}
    </a>
  );
}

/** A box that narrows what is shown, reached by pressing `/`. */
export function Filter(props: {
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly label: string;
}) {
  return (
    <input
      type="search"
      class="filter"
      value={props.value}
      placeholder="Filter"
      aria-label={props.label}
      aria-keyshortcuts="/"
      onInput={(event) => props.onChange(event.currentTarget.value)}
    />
  );
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
  const filter = document.querySelector<HTMLInputElement>("input.filter");
  if (filter === null) return;
  event.preventDefault();
  filter.focus();
});

/** Whether every word of the filter is in one of the texts. */
export function matches(filter: string, texts: readonly string[]): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = texts.join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}
