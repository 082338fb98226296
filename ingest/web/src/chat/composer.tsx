import { type FormEvent, type KeyboardEvent, useRef } from "react";
import { useDraft } from "../shared/draft";
import { TooLong, isTooLong } from "../shared/too_long";

const QUESTION_MAX = 8000;

interface Props {
  busy: boolean;
  onAsk: (message: string) => void;
  onStop: () => void;
}

export function Composer({ busy, onAsk, onStop }: Props) {
  const { text: message, setText: setMessage } = useDraft("question");
  const input = useRef<HTMLTextAreaElement>(null);
  const ready = !busy && message.trim() !== "" && !isTooLong(message, QUESTION_MAX);

  const send = (event?: FormEvent): void => {
    event?.preventDefault();
    if (!ready) return;
    onAsk(message.trim());
    setMessage("");
    input.current?.focus();
  };
  // Enter sends, Shift+Enter makes a line; not while an input method is composing. In Safari the Enter that takes its word comes when
  // composing is over, but has the code that all keys have which go to an input method.
  const onKey = (event: KeyboardEvent): void => {
    const composing = event.nativeEvent.isComposing || event.nativeEvent.keyCode === 229;
    if (event.key === "Enter" && !event.shiftKey && !composing) send(event as unknown as FormEvent);
    if (event.key === "Escape" && busy) onStop();
  };

  return (
    <form className="composer" onSubmit={send}>
      <label className="visually-hidden" htmlFor="question">Your question</label>
      <textarea
        id="question"
        ref={input}
        rows={2}
        aria-invalid={isTooLong(message, QUESTION_MAX)}
        aria-describedby="question-too-long"
        value={message}
        placeholder="Ask a question…"
        autoFocus
        onChange={(event) => setMessage(event.target.value)}
        onKeyDown={onKey}
      />
      {busy ? (
        <button type="button" className="primary" onClick={onStop}>Stop</button>
      ) : (
        <button type="submit" className="primary" aria-disabled={!ready}>Send</button>
      )}
      <TooLong id="question-too-long" text={message} max={QUESTION_MAX} />
    </form>
  );
}
