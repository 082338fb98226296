// One question, one whole answer, a thumb by trace_id with the user in the query: what a first page for POST /chat does.
import React from "react";

export function ChatWithFeedback() {
  const [question, setQuestion] = React.useState("");
  const [answer, setAnswer] = React.useState(null);
  const [judged, setJudged] = React.useState(false);

  async function ask() {
    const said = await fetch("/chat", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: question }) });
    setAnswer(await said.json());
    setJudged(false);
  }

  async function judge(is_correct) {
    const about = new URLSearchParams({ trace_id: answer.trace_id, user_id: "user-1" });
    const body = JSON.stringify({ is_correct, comment: null });
    const taken = await fetch(`/feedback?${about}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    setJudged(taken.ok);
  }

  return (
    <main>
      <input type="text" value={question} onChange={(event) => setQuestion(event.target.value)} />
      <button onClick={ask}>Send</button>
      {answer && (
        <section>
          <p>{answer.response}</p>
          <button disabled={judged} onClick={() => judge(true)}>👍</button>
          <button disabled={judged} onClick={() => judge(false)}>👎</button>
          {judged && <output>Noted.</output>}
        </section>
      )}
    </main>
  );
}
