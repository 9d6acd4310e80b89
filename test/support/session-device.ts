/** The library's device on a session that a test has opened by itself, without a pool and a lease. */
import { Content } from "../../client/content.ts";
import { HandleCounter } from "../../client/context.ts";
import { Device } from "../../client/device.ts";
import type { Session } from "../../client/session.ts";
import type { AttachAnswer } from "../../shared/generated/calls.ts";

export function deviceOf(session: Session, attached: AttachAnswer, leaseId: string): { gpu: Device; content: Content } {
  const counter = (): HandleCounter => new HandleCounter();
  const handles = {
    images: counter(),
    modules: counter(),
    streams: counter(),
    events: counter(),
    recordings: counter(),
  };
  const content = new Content(session, handles);
  return { content, gpu: new Device({ session, handles, content, index: 0, leaseId, attached }) };
}
