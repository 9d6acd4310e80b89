/** The library's device on a session that a test has opened by itself, without a pool and a lease. */
import { Content } from "../../client/content.ts";
import { SessionHandles } from "../../client/context.ts";
import { Device } from "../../client/device.ts";
import type { Session } from "../../client/session.ts";
import type { AttachAnswer } from "../../shared/generated/calls.ts";

export function deviceOf(session: Session, attached: AttachAnswer, leaseId: string): { gpu: Device; content: Content } {
  const handles = new SessionHandles();
  const content = new Content(session, handles);
  return { content, gpu: new Device({ session, handles, content, index: 0, leaseId, attached }) };
}
