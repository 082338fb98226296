import { type ComponentType, Suspense, lazy, useDeferredValue } from "react";

interface Text {
  text: string;
}

// To read Markdown anew for each piece that comes costs as much as it is long.
const MARKDOWN_CHARACTERS_MAX = 50_000;

const PlainText = ({ text }: Text) => <p className="plain">{text}</p>;
const MarkdownText = lazy<ComponentType<Text>>(() => import("./markdown_text").catch(() => ({ default: PlainText }))); // the server may be away, or another one

// Models write Markdown.
export function AnswerText({ text }: Text) {
  const shown = useDeferredValue(text);
  if (text.length > MARKDOWN_CHARACTERS_MAX) return <PlainText text={text} />;
  return (
    <Suspense fallback={<PlainText text={shown} />}>
      <MarkdownText text={shown} />
    </Suspense>
  );
}
