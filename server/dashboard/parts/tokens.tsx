/** The tokens of the server: who may call, until when, and since when not any more. A new one is shown once. */
import { useCallback, useEffect, useState } from "preact/hooks";
import type { Role__Output as RoleName } from "../../../proto/generated/sluice/v1/Role.ts";
import type { Token__Output as Token } from "../../../proto/generated/sluice/v1/Token.ts";
import { parseDuration } from "../../../shared/units.ts";
import { call } from "../api.ts";
import { duration, moment } from "../format.ts";
import { type LiveState, serverNow } from "../live/live.ts";
import { ActionDialog, Field, textOf } from "./dialog.tsx";
import { TenantName } from "./small.tsx";
import { type Column, Table } from "./table.tsx";

function stateOf({ revokedAtMs, expiresAtMs }: Token): string {
  if (revokedAtMs > 0) return `revoked on ${moment(revokedAtMs)}`;
  const left = expiresAtMs - serverNow();
  return left <= 0 ? "expired" : `good for ${duration(left)}`;
}

const isGood = ({ revokedAtMs, expiresAtMs }: Token): boolean => revokedAtMs === 0 && expiresAtMs > serverNow();

const columnsFor = (revoke: ((token: Token) => void) | undefined): Column<Token>[] => [
  { name: "Token", isHead: true, cell: ({ id }) => <code>{id}</code>, order: ({ id }) => id },
  { name: "Tenant", cell: ({ tenant }) => <TenantName tenant={tenant} />, order: ({ tenant }) => tenant },
  { name: "Role", cell: ({ role }) => role.replace("ROLE_", "").toLowerCase(), order: ({ role }) => role },
  { name: "For", cell: ({ note }) => note || "–", order: ({ note }) => note },
  {
    name: "Last used",
    isNumber: true,
    cell: ({ usedAtMs }) => (usedAtMs === 0 ? "never" : `${duration(serverNow() - usedAtMs)} ago`),
    order: ({ usedAtMs }) => usedAtMs,
  },
  { name: "State", cell: stateOf, order: ({ expiresAtMs }) => expiresAtMs },
  {
    name: "",
    label: "Actions",
    cell: (token) =>
      revoke !== undefined &&
      isGood(token) && (
        <button type="button" class="button" aria-label={`Revoke the token ${token.id}`} onClick={() => revoke(token)}>
          Revoke …
        </button>
      ),
  },
];

export function Tokens({ state }: { readonly state: LiveState }) {
  const [tokens, setTokens] = useState<readonly Token[]>([]);
  const [asked, setAsked] = useState<"create" | Token | undefined>(undefined);
  const [made, setMade] = useState("");
  const isAdmin = state.session?.role === "admin";
  const ask = useCallback((): void => {
    call("AdminService/ListTokens", {}).then(
      ({ tokens: found }) => setTokens(found),
      () => undefined, // The connection's state is said above.
    );
  }, []);
  useEffect(ask, [ask]);
  const close = (): void => {
    setAsked(undefined);
    ask();
  };
  return (
    <section aria-labelledby="tokens-title">
      <div class="title title-second">
        <h2 id="tokens-title">Tokens</h2>
        {isAdmin && (
          <button type="button" class="button" onClick={() => setAsked("create")}>
            New token …
          </button>
        )}
      </div>
      {state.session?.isOpen === true && (
        <p class="quiet">
          There are none: whoever reaches the server may borrow, and whoever is on its machine is its admin. With the
          first token, every caller needs one.
        </p>
      )}
      {tokens.length > 0 && (
        <Table
          name="Tokens"
          columns={columnsFor(isAdmin ? setAsked : undefined)}
          rows={[...tokens].reverse()}
          keyOf={({ id }) => id}
          none="There is no token."
        />
      )}
      {asked === "create" && <CreateDialog isFirst={state.session?.isOpen === true} onMade={setMade} onClose={close} />}
      {asked !== undefined && asked !== "create" && (
        <ActionDialog
          title={`Revoke the token ${asked.id}`}
          action="Revoke"
          isDangerous
          onClose={close}
          run={() => call("AdminService/RevokeToken", { tokenId: asked.id })}
        >
          <p>
            It is worthless at once, and what <b>{asked.tenant}</b> does with it ends, leases included. That cannot be
            taken back.
          </p>
        </ActionDialog>
      )}
      {made !== "" && <MadeDialog token={made} onClose={() => setMade("")} />}
    </section>
  );
}

function CreateDialog(props: {
  readonly isFirst: boolean;
  readonly onMade: (token: string) => void;
  readonly onClose: () => void;
}) {
  const { isFirst, onMade, onClose } = props;
  return (
    <ActionDialog
      title="New token"
      action="Make the token"
      onClose={onClose}
      run={async (fields) => {
        const lifetime = textOf(fields, "lifetime");
        const { token } = await call("AdminService/CreateToken", {
          tenant: textOf(fields, "tenant"),
          role: textOf(fields, "role") as RoleName,
          note: textOf(fields, "note"),
          lifetimeMs: lifetime === "" ? 0 : parseDuration(lifetime),
        });
        onMade(token);
      }}
    >
      {isFirst && <p>The first token is an admin's. From then on this page asks for one, too.</p>}
      <Field name="tenant" label="Tenant" hint="Who is charged." />
      <div class="field">
        <label for="token-role">Role</label>
        <select id="token-role" name="role" class="select">
          {!isFirst && <option value="ROLE_TENANT">tenant: borrows, sees its own</option>}
          {!isFirst && <option value="ROLE_MONITOR">monitor: sees all, changes nothing</option>}
          <option value="ROLE_ADMIN">admin: sees and changes all</option>
        </select>
      </div>
      <Field name="lifetime" label="Lifetime" placeholder="365d" hint="Such as 90d. Empty: a year." />
      <Field name="note" label="What it is for" />
    </ActionDialog>
  );
}

function MadeDialog({ token, onClose }: { readonly token: string; readonly onClose: () => void }) {
  const [isCopied, setCopied] = useState(false);
  return (
    <ActionDialog
      title="The new token"
      action={isCopied ? "Copied" : "Copy"}
      onClose={onClose}
      run={async () => {
        await navigator.clipboard.writeText(token);
        setCopied(true);
      }}
    >
      <p>It is shown this once, and nobody can show it again.</p>
      <pre class="command" data-token>
        {token}
      </pre>
    </ActionDialog>
  );
}
