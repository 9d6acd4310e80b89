/** Tables for spreadsheets, as RFC 4180 writes them. Pure. */

/** A text as a cell: quoted where needed, and what a spreadsheet would take for a formula made text. */
export function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
