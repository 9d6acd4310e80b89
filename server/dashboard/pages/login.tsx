/** Asks for a token where the server wants one. The token goes to the server once and is kept nowhere. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, login } from "../api.ts";
import { start } from "../live/live.ts";
import { Mark } from "../parts/mark.tsx";

export function LoginPage() {
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const [isRunning, setRunning] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setRunning(true);
    setError(undefined);
    try {
      await login(input.current?.value ?? "");
      await start();
    } catch (cause) {
      setError(cause instanceof ApiError ? cause : new ApiError("INTERNAL", String(cause), ""));
      setRunning(false);
      input.current?.select();
    }
  };
  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)}>
        <p class="brand">
          <Mark />
          Sluice
        </p>
        <h1>Log in</h1>
        <label class="field">
          <span>Token</span>
          <input ref={input} name="token" type="password" autocomplete="current-password" required spellcheck={false} />
        </label>
        <div role="alert">{error !== undefined && <p class="problem">{error.message}</p>}</div>
        <button type="submit" class="button button-main" disabled={isRunning}>
          Log in
        </button>
        <p class="quiet">
          An admin makes tokens with <code>sluice token create</code>; the first one is in the file{" "}
          <code>admin-token</code> of the server's state directory.
        </p>
      </form>
    </main>
  );
}
