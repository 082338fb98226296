import { Collapsible, RadioGroup, ToggleGroup } from "radix-ui";
import { type MouseEvent, useId, useRef } from "react";
import type { Turn } from "../chat/conversation";
import { useDraft } from "../shared/draft";
import { useStore } from "../shared/store";
import { TooLong, isTooLong } from "../shared/too_long";
import { CATEGORIES, DIMENSIONS, type Dimension, type Opinion, opinionOf, opinions } from "./opinions";
import { giveCategories, giveComment, giveRating, giveThumb, takeBack, takeRatingsBack } from "./give";
import { letters } from "./outbox";

const COMMENT_MAX = 4000;

// What has just opened may be behind the composer.
function show(opened: Element | null): void {
  requestAnimationFrame(() => opened?.scrollIntoView({ block: "nearest" }));
}

export function FeedbackPanel({ turn }: { turn: Turn }) {
  const opinion = opinionOf(useStore(opinions), turn.id);
  const waiting = useStore(letters).some((letter) => letter.turnId === turn.id);
  const panel = useRef<HTMLDivElement>(null);
  const press = (thumb: "up" | "down") => (event: MouseEvent): void => {
    if (event.detail > 1) return; // of a double click: it would take back what the first click said
    giveThumb(turn, thumb);
    show(panel.current);
  };
  const undo = (): void => {
    panel.current?.querySelector<HTMLElement>('.thumb[aria-pressed="true"]')?.focus(); // this button goes
    takeBack(turn);
  };
  return (
    <div className="feedback" ref={panel}>
      <div className="thumbs" role="group" aria-label="Was this answer any good?">
        <button type="button" className="thumb" aria-pressed={opinion.thumb === "up"} aria-label="Good answer" onClick={press("up")}>
          <Thumb />
        </button>
        <button type="button" className="thumb down" aria-pressed={opinion.thumb === "down"} aria-label="Bad answer" onClick={press("down")}>
          <Thumb />
        </button>
        {opinion.thumb && (
          <>
            <span className="thanks" role="status">{waiting ? "Kept, being sent…" : opinion.thumb === "up" ? "Thank you!" : "Thank you. What was wrong?"}</span>
            <button type="button" className="link" onClick={undo}>Undo</button>
          </>
        )}
      </div>
      {opinion.thumb === "down" && <WhatWasWrong turn={turn} opinion={opinion} waiting={waiting} />}
      <Details turn={turn} opinion={opinion} />
    </div>
  );
}

function WhatWasWrong({ turn, opinion, waiting }: { turn: Turn; opinion: Opinion; waiting: boolean }) {
  const { text, setText, forget } = useDraft(turn.id, opinion.comment);
  const id = useId();
  const given = text.trim() === opinion.comment;
  const problem = `${id}-too-long`;
  const nothingToSave = given || isTooLong(text, COMMENT_MAX);
  return (
    <div className="why">
      <ToggleGroup.Root type="multiple" className="chips" aria-label="What kind of problem?" value={opinion.categories} onValueChange={(value) => giveCategories(turn, value)}>
        {CATEGORIES.map((category) => (
          <ToggleGroup.Item key={category} className="chip" value={category}>{category}</ToggleGroup.Item>
        ))}
      </ToggleGroup.Root>
      <form
        className="comment"
        onSubmit={(event) => {
          event.preventDefault();
          if (nothingToSave) return;
          giveComment(turn, text.trim());
          forget();
        }}
      >
        <label htmlFor={id}>Comment</label>
        <textarea id={id} rows={2} aria-invalid={isTooLong(text, COMMENT_MAX)} aria-describedby={problem} value={text} onChange={(event) => setText(event.target.value)} />
        <TooLong id={problem} text={text} max={COMMENT_MAX} />
        <button type="submit" aria-disabled={nothingToSave}>{!given || !opinion.comment ? "Save comment" : waiting ? "Kept, being sent…" : "Saved"}</button>
      </form>
    </div>
  );
}

function Details({ turn, opinion }: { turn: Turn; opinion: Opinion }) {
  const given = DIMENSIONS.filter((dimension) => opinion.ratings[dimension] !== undefined).length;
  const details = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const takeBackAll = (): void => {
    takeRatingsBack(turn);
    trigger.current?.focus(); // the button goes
  };
  return (
    <Collapsible.Root className="details" ref={details} onOpenChange={() => show(details.current)}>
      <Collapsible.Trigger className="link" ref={trigger}>Rate in detail{given > 0 && ` (${given} of ${DIMENSIONS.length})`}</Collapsible.Trigger>
      <Collapsible.Content>
        <div className="ratings">
          {DIMENSIONS.map((dimension) => (
            <Rating key={dimension} turn={turn} dimension={dimension} value={opinion.ratings[dimension]} />
          ))}
          <div className="rated">
            <p className="note" role="status">{opinion.ratingsSent ? "Rated. A change is sent at once." : "Sent when all three are rated."}</p>
            {given > 0 && <button type="button" className="link" onClick={takeBackAll}>Take ratings back</button>}
          </div>
        </div>
      </Collapsible.Content>
    </Collapsible.Root>
  );
}

function Rating({ turn, dimension, value }: { turn: Turn; dimension: Dimension; value: number | undefined }) {
  const label = useId();
  return (
    <div className="rating">
      <span id={label}>{dimension}</span>
      <RadioGroup.Root
        className="scale"
        aria-labelledby={label}
        orientation="horizontal"
        value={value === undefined ? null : String(value)}
        onValueChange={(score) => giveRating(turn, dimension, Number(score))}
      >
        {[1, 2, 3, 4, 5].map((score) => (
          <RadioGroup.Item key={score} className="score" value={String(score)} aria-label={`${score} of 5`}>{score}</RadioGroup.Item>
        ))}
      </RadioGroup.Root>
    </div>
  );
}

function Thumb() {
  return (
    <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" strokeLinecap="round">
      <path d="M7 10v11H4.5A1.5 1.5 0 0 1 3 19.5v-8A1.5 1.5 0 0 1 4.5 10H7Zm0 0 4-7.2c1.6 0 2.6 1.2 2.4 2.7L12.9 9H18a2.5 2.5 0 0 1 2.45 3l-1.3 6.6A3 3 0 0 1 16.2 21H7" />
    </svg>
  );
}
