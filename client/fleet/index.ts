/** The room's one door: several servers as one pool. What is behind it knows requests and servers, no command line and no sessions. */
export { failureOf, shortWords } from "./failure.ts";
export { Fleet, type FromServer } from "./fleet.ts";
export { onOwner, type ThingKind, things } from "./owner.ts";
export type { FleetGrant } from "./request.ts";
