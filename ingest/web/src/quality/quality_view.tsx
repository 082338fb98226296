import { useEffect, useLayoutEffect, useState } from "react";
import { isDimension } from "../feedback/opinions";
import { problemOf } from "../shared/problem";

interface Report {
  experiment: string;
  total_traces: number;
  traces_with_feedback: number;
  feedback_rate: number;
  positive_count: number;
  negative_count: number;
  ratings: Record<string, number>; // averages, 0 to 1
  rating_counts: Record<string, number>;
}

const WINDOWS = [
  { hours: 1, label: "Hour" },
  { hours: 24, label: "Day" },
  { hours: 168, label: "Week" },
];
const EVERY_MS = 2000;

type Shown = { report: Report } | { problem: string } | null;

async function whyNot(response: Response): Promise<string> {
  if (response.status === 401 || response.status === 403) return "The figures need a key with scope read, and this page has none.";
  return problemOf(response, "No figures");
}

// Moves as feedback comes: asks again and again while the page is seen.
function useReport(hours: number): Shown {
  const [shown, setShown] = useState<Shown>(null);
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const turn = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const response = await fetch(`/assay/quality?hours=${hours}`, { signal: controller.signal });
          setShown(response.ok ? { report: (await response.json()) as Report } : { problem: await whyNot(response) });
        } catch {
          if (controller.signal.aborted) return;
          setShown({ problem: "The server can't be reached. The figures come back with it." });
        }
      }
      timer = setTimeout(() => void turn(), EVERY_MS);
    };
    void turn();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [hours]);
  return shown;
}

export function QualityView() {
  const [hours, setHours] = useState(24);
  const shown = useReport(hours);
  useLayoutEffect(() => {
    scrollTo(0, 0); // not where the chat was
  }, []);
  return (
    <section className="quality" aria-label="Quality">
      <div className="windows" role="group" aria-label="Time window">
        {WINDOWS.map((window) => (
          <button key={window.hours} type="button" aria-pressed={window.hours === hours} onClick={() => setHours(window.hours)}>{window.label}</button>
        ))}
      </div>
      {shown === null && <p className="note" role="status">Counting…</p>}
      {shown && "problem" in shown && <p className="note bad" role="alert">{shown.problem}</p>}
      {shown && "report" in shown && <Figures report={shown.report} />}
    </section>
  );
}

const percent = (value: number): string => `${value.toFixed(value === 0 || value === 100 ? 0 : 1)} %`;

function Figures({ report }: { report: Report }) {
  const judged = report.positive_count + report.negative_count;
  return (
    <>
      <dl className="tiles">
        <Tile name="Traces" value={report.total_traces.toLocaleString()} />
        <Tile name="With feedback" value={report.traces_with_feedback.toLocaleString()} />
        <Tile name="Feedback rate" value={percent(report.feedback_rate)} />
        <Tile name="Thumbs up" value={judged === 0 ? "–" : percent((100 * report.positive_count) / judged)} />
      </dl>
      <h2>Thumbs</h2>
      {judged === 0 ? (
        <p className="note">No thumbs yet in this time.</p>
      ) : (
        <ul className="bars">
          <Bar name="Up" value={report.positive_count} of={judged} text={report.positive_count.toLocaleString()} kind="good" />
          <Bar name="Down" value={report.negative_count} of={judged} text={report.negative_count.toLocaleString()} kind="poor" />
        </ul>
      )}
      <h2>Ratings</h2>
      <Ratings report={report} />
    </>
  );
}

// The three dimensions are fifths; what else was said in numbers may have any scale.
function Ratings({ report }: { report: Report }) {
  const names = Object.keys(report.ratings);
  if (names.length === 0) return <p className="note">No ratings yet in this time.</p>;
  return (
    <ul className="bars">
      {names.map((name) => {
        const average = report.ratings[name] ?? 0;
        const count = (report.rating_counts[name] ?? 0).toLocaleString();
        return isDimension(name) ? (
          <Bar key={name} name={name} value={average} of={1} text={`${(average * 5).toFixed(2)} of 5 · ${count}`} kind="plain" />
        ) : (
          <li key={name} className="bar-row">
            <span className="bar-name">{name.replaceAll("_", " ")}</span>
            <span className="bar-text alone">{`${average.toLocaleString(undefined, { maximumFractionDigits: 2 })} on average · ${count}`}</span>
          </li>
        );
      })}
    </ul>
  );
}

function Tile({ name, value }: { name: string; value: string }) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

// The bar is decoration; the text says it all.
function Bar({ name, value, of, text, kind }: { name: string; value: number; of: number; text: string; kind: string }) {
  return (
    <li className="bar-row">
      <span className="bar-name">{name}</span>
      <svg className={`bar-line ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect className="rail" width="100" height="8" />
        <rect className="fill" width={Math.max(0, Math.min(100, (100 * value) / of))} height="8" />
      </svg>
      <span className="bar-text">{text}</span>
    </li>
  );
}
