/** What an admin can do with a lease, each with a confirmation: revoke, extend. */
import { useState } from "preact/hooks";
import { parseDuration } from "../../../shared/units.ts";
import { call } from "../api.ts";
import { moment, plural, size } from "../format.ts";
import type { Lease } from "../live/pool-model.ts";
import { ActionDialog, Field, textOf } from "./dialog.tsx";

type Action = "revoke" | "extend";

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
      <button
        type="button"
        class="button"
        disabled={isDisabled || isEnding}
        aria-label={`Revoke ${name}`}
        onClick={() => setAsked("revoke")}
      >
        Revoke …
      </button>
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
