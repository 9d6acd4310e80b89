/** A window over the page that asks for something: a form with its words, its fields, and two ways out. */
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api.ts";

/** What makes a dialog stand over the page while it is there, and gives the focus back at once when it goes. */
export function useModal(onClose: () => void) {
  const ref = useRef<HTMLDialogElement>(null);
  const isGone = useRef(false);
  useLayoutEffect(() => {
    const dialog = ref.current!;
    dialog.showModal();
    return () => {
      isGone.current = true;
      dialog.close();
    };
  }, []);
  return {
    ref,
    onClose: () => {
      if (!isGone.current) onClose();
    },
  };
}

export interface ActionDialogProps {
  readonly title: string;
  /** What will happen. */
  readonly children?: ComponentChildren;
  /** On the button that does it. */
  readonly action: string;
  readonly isDangerous?: boolean;
  /** Does it; the dialog closes when it succeeds and says what went wrong otherwise. */
  readonly run: (fields: FormData) => Promise<unknown>;
  readonly onClose: () => void;
}

export function ActionDialog({ title, children, action, isDangerous = false, run, onClose }: ActionDialogProps) {
  const modal = useModal(onClose);
  const [isRunning, setRunning] = useState(false);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setRunning(true);
    setError(undefined);
    try {
      await run(new FormData(event.currentTarget as HTMLFormElement));
      onClose();
    } catch (cause) {
      setError(cause instanceof ApiError ? cause : new ApiError("INTERNAL", String(cause), ""));
      setRunning(false);
    }
  };
  return (
    <dialog {...modal} class="dialog" aria-labelledby="dialog-title">
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        <div role="alert">
          {error !== undefined && (
            <p class="problem">
              {error.message} {error.remedy}
            </p>
          )}
        </div>
        <div class="dialog-actions">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={`button ${isDangerous ? "button-danger" : "button-main"}`} disabled={isRunning}>
            {isRunning ? "…" : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** A named input of a form. */
export function Field(props: {
  readonly name: string;
  readonly label: string;
  readonly value?: string;
  readonly hint?: string;
  readonly placeholder?: string;
}) {
  const { name, label, value = "", hint, placeholder } = props;
  const id = useId();
  const hintId = `${id}-hint`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        name={name}
        defaultValue={value}
        autocomplete="off"
        spellcheck={false}
        {...(placeholder === undefined ? {} : { placeholder })}
        {...(hint === undefined ? {} : { "aria-describedby": hintId })}
      />
      {hint !== undefined && (
        <small id={hintId} class="quiet">
          {hint}
        </small>
      )}
    </div>
  );
}

/** The text of a field. */
export const textOf = (fields: FormData, name: string): string => {
  const value = fields.get(name);
  return typeof value === "string" ? value.trim() : "";
};
