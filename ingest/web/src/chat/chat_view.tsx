import { memo } from "react";
import { useStore } from "../shared/store";
import { FeedbackPanel } from "../feedback/feedback_panel";
import { AnswerText } from "./answer_text";
import { Composer } from "./composer";
import { type Turn, ask, before, conversation, goBack, isOpen, isOver, startAnew, stop } from "./conversation";
import { useFollow } from "./follow";

// For a button that goes when it is pressed.
const andFocus = (go: () => void) => (): void => {
  go();
  document.getElementById("question")?.focus();
};

export function ChatView() {
  const turns = useStore(conversation);
  const last = turns.at(-1);
  const open = last !== undefined && isOpen(last);
  useFollow(last);

  return (
    <>
      <section className="turns" aria-label="Conversation">
        {turns.length === 0 && <Welcome />}
        {turns.map((turn) => <TurnView key={turn.id} turn={turn} />)}
      </section>
      <div className="dock">
        <Composer busy={open} onAsk={ask} onStop={() => last && stop(last)} />
        {turns.length > 0 && (
          <button type="button" className="quiet" onClick={andFocus(startAnew)}>New conversation</button>
        )}
      </div>
    </>
  );
}

function Welcome() {
  const last = useStore(before);
  return (
    <div className="welcome">
      <h2>Ask something, then say whether the answer was any good.</h2>
      <p>Each answer has its own thumbs. What you say is kept even when the server is away, and reaches the answer's trace exactly once.</p>
      {last && <button type="button" className="link" onClick={andFocus(goBack)}>Back to the last conversation</button>}
    </div>
  );
}

// As an answer grows the others are not drawn again.
const TurnView = memo(function TurnView({ turn }: { turn: Turn }) {
  // An answer that broke off or was stopped before its first word is none: nothing to show, and nothing to judge.
  const answered = turn.answer !== "" || turn.state === "done";
  const nothing = turn.state === "done" && turn.answer.trim() === "";
  return (
    <article className="turn" aria-busy={isOpen(turn)}>
      <p className="question"><span className="visually-hidden">You asked: </span>{turn.question}</p>
      {(answered || isOpen(turn)) && !nothing && (
        <div className="answer" aria-live="polite" aria-atomic="false">
          <span className="visually-hidden">Answer: </span>
          <AnswerText text={turn.answer} />
          {turn.state === "streaming" && <span className="caret" aria-hidden="true" />}
        </div>
      )}
      {turn.state === "reconnecting" && <p className="note" role="status">The connection broke. Picking the answer up again…</p>}
      {turn.state === "stopping" && <p className="note" role="status">Stopping…</p>}
      {turn.cut && <p className="note" role="status">The answer ends here because the model has reached its limit of length.</p>}
      {nothing && <p className="note" role="status">The model answered with nothing.</p>}
      {turn.state === "stopped" && <p className="note">Stopped.</p>}
      {turn.state === "failed" && (
        <p className="note bad" role="alert">
          {turn.reason} <button type="button" className="link" onClick={() => ask(turn.question)}>Ask again</button>
        </p>
      )}
      {turn.traceId && answered && isOver(turn) && <FeedbackPanel turn={turn} />}
    </article>
  );
});
