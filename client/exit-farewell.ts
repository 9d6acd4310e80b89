/** The end of the program: sessions that would wait for their client hear that nobody will come back to them. */

interface Leaver {
  /** Says goodbye within this call: nothing runs behind it. */
  farewell(): void;
}

const leavers = new Set<Leaver>();
let isListening = false;

export function sayAtExit(leaver: Leaver): void {
  leavers.add(leaver);
  if (isListening) return;
  isListening = true;
  process.once("exit", () => {
    for (const each of leavers) each.farewell();
  });
}

export const forgetAtExit = (leaver: Leaver): void => {
  leavers.delete(leaver);
};
