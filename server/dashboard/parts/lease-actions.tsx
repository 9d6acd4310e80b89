/** What an admin can do with a lease, each with a confirmation: revoke, extend, resize, suspend; and resume. */
import { useState } from "preact/hooks";
import { parseDuration, parseSize } from "../../../shared/units.ts";
import { call } from "../api.ts";
import { moment, plural, size, sizeWritten } from "../format.ts";
import type { Lease } from "../live/pool-model.ts";
import { ActionDialog, Field, textOf } from "./dialog.tsx";

type Action = "revoke" | "extend" | "resize" | "suspend" | "resume";

/** `isShort`: only what fits beside others of its kind. */
export function LeaseActions(props: {
  readonly lease: Lease;
  readonly isDisabled: boolean;
  readonly isShort?: boolean;
}) {
  const { lease, isDisabled, isShort = false } = props;
  const [asked, setAsked] = useState<Action | undefined>(undefined);
  const close = (): void => setAsked(undefined);
  const name = lease.name || lease.id;
  const isEnding = lease.state === "LEASE_STATE_ENDING";
  return (
    <span class="actions">
      {lease.endsAtMs > 0 && !isShort && (
        <button
          type="button"
          class="button"
          disabled={isDisabled || isEnding}
          aria-label={`Extend ${name}`}
          onClick={() => setAsked("extend")}
        >
          Extend …
        </button>
      )}
      {lease.suspension !== null && !lease.suspension.comesBack ? (
        <button
          type="button"
          class="button"
          disabled={isDisabled || isEnding}
          aria-label={`Resume ${name}`}
          onClick={() => setAsked("resume")}
        >
          Resume …
        </button>
      ) : (
        !isShort && (
          <button
            type="button"
            class="button"
            disabled={isDisabled || isEnding}
            aria-label={`Suspend ${name}`}
            onClick={() => setAsked("suspend")}
          >
            Suspend …
          </button>
        )
      )}
      {!isShort && lease.suspension === null && (
        <button
          type="button"
          class="button"
          disabled={isDisabled || isEnding}
          aria-label={`Resize ${name}`}
          onClick={() => setAsked("resize")}
        >
          Resize …
        </button>
      )}
      <button
        type="button"
        class="button"
        disabled={isDisabled || isEnding}
        aria-label={`Revoke ${name}`}
        onClick={() => setAsked("revoke")}
      >
        Revoke …
      </button>
      {asked === "suspend" && <SuspendDialog lease={lease} onClose={close} />}
      {asked === "resume" && <ResumeDialog lease={lease} onClose={close} />}
      {asked === "resize" && <ResizeDialog lease={lease} onClose={close} />}
      {asked === "revoke" && <RevokeDialog lease={lease} onClose={close} />}
      {asked === "extend" && <ExtendDialog lease={lease} onClose={close} />}
    </span>
  );
}

interface LeaseDialogProps {
  readonly lease: Lease;
  readonly onClose: () => void;
}

function RevokeDialog({ lease, onClose }: LeaseDialogProps) {
  const bytes = lease.slices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  return (
    <ActionDialog
      title={`Revoke ${lease.name || lease.id}`}
      action="Revoke"
      isDangerous
      onClose={onClose}
      run={(fields) =>
        call("AdminService/Revoke", {
          leaseId: lease.id,
          graceMs: parseDuration(textOf(fields, "grace") || "0"),
          message: textOf(fields, "message"),
        })
      }
    >
      <p>
        The job of <b>{lease.tenant}</b> loses {size(bytes)} in {plural(lease.slices.length, "slice")} and all that it
        keeps there. It is told at once, and ends after the grace.
      </p>
      <Field name="grace" label="Grace" value="30s" hint="Such as 30s or 5m; 0 ends it now." />
      <Field name="message" label="Reason, for its holder" placeholder="The device is needed elsewhere." />
    </ActionDialog>
  );
}

function SuspendDialog({ lease, onClose }: LeaseDialogProps) {
  const bytes = lease.slices.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  return (
    <ActionDialog
      title={`Suspend ${lease.name || lease.id}`}
      action="Suspend"
      onClose={onClose}
      run={(fields) => call("PoolService/Suspend", { leaseId: lease.id, message: textOf(fields, "message") })}
    >
      <p>
        What it has in {size(bytes)} is saved on the server, and others can have the room. The job of{" "}
        <b>{lease.tenant}</b> waits, and loses nothing, until an admin resumes it.
      </p>
      <Field name="message" label="Reason, for its holder" placeholder="The device is needed for a while." />
    </ActionDialog>
  );
}

function ResumeDialog({ lease, onClose }: LeaseDialogProps) {
  return (
    <ActionDialog
      title={`Resume ${lease.name || lease.id}`}
      action="Resume"
      onClose={onClose}
      run={() => call("PoolService/Resume", { leaseId: lease.id })}
    >
      <p>It goes on as soon as its devices have room, in the place of its own request.</p>
    </ActionDialog>
  );
}

function ResizeDialog({ lease, onClose }: LeaseDialogProps) {
  const { slices } = lease;
  return (
    <ActionDialog
      title={`Resize ${lease.name || lease.id}`}
      action="Resize"
      onClose={onClose}
      run={(fields) =>
        call("PoolService/Resize", {
          leaseId: lease.id,
          index: Number(textOf(fields, "index") || 0),
          memoryBytes: parseSize(textOf(fields, "size")),
        })
      }
    >
      <p>A slice grows where its device has room. It shrinks only while no session uses it, or when its job agrees.</p>
      {slices.length > 1 && (
        <div class="field">
          <label for="slice-index">Slice</label>
          <select id="slice-index" name="index" class="select">
            {slices.map(({ index, deviceId, memoryBytes }) => (
              <option key={index} value={index}>
                {deviceId}, {size(memoryBytes)}
              </option>
            ))}
          </select>
        </div>
      )}
      <Field name="size" label="New size" value={sizeWritten(slices[0]?.memoryBytes)} hint="Such as 6GiB." />
    </ActionDialog>
  );
}

function ExtendDialog({ lease, onClose }: LeaseDialogProps) {
  return (
    <ActionDialog
      title={`Extend ${lease.name || lease.id}`}
      action="Extend"
      onClose={onClose}
      run={(fields) =>
        call("AdminService/Extend", { leaseId: lease.id, byMs: parseDuration(textOf(fields, "by") || "0") })
      }
    >
      <p>It ends on {moment(lease.endsAtMs)} at the latest.</p>
      <Field name="by" label="Longer by" value="1h" hint="Such as 30m or 2d." />
    </ActionDialog>
  );
}
