// Markdown as elements. HTML in it is text.
import { type ComponentProps, memo } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";

type Shown<Tag extends keyof React.JSX.IntrinsicElements> = ComponentProps<Tag> & { node?: unknown };

// Whatever is wider than the page is moved by itself, from the keyboard too.
const asWide: Components = {
  pre: ({ node: _, ...rest }: Shown<"pre">) => <pre tabIndex={0} {...rest} />,
  table: ({ node: _, ...rest }: Shown<"table">) => <div className="wide" tabIndex={0}><table {...rest} /></div>,
};

// An answer stands two headings deep in the page.
const headings: Components = {
  h1: ({ node: _, ...rest }: Shown<"h3">) => <h3 {...rest} />,
  h2: ({ node: _, ...rest }: Shown<"h4">) => <h4 {...rest} />,
  h3: ({ node: _, ...rest }: Shown<"h5">) => <h5 {...rest} />,
  h4: ({ node: _, ...rest }: Shown<"h6">) => <h6 {...rest} />,
  h5: ({ node: _, ...rest }: Shown<"h6">) => <h6 {...rest} />,
};

// A model may be talked into writing addresses: none is asked for until somebody chooses to go there, an image neither.
const outside: Components = {
  a: ({ node: _, ...rest }: Shown<"a">) => <a {...rest} target="_blank" rel="noopener noreferrer nofollow" />,
  img: ({ src, alt }: Shown<"img">) => <a href={src} target="_blank" rel="noopener noreferrer nofollow">{alt || src}</a>,
};

const components: Components = { ...asWide, ...headings, ...outside };
const plugins = [remarkGfm];

export const MarkdownText = memo(function MarkdownText({ text }: { text: string }) {
  return <Markdown remarkPlugins={plugins} components={components}>{text}</Markdown>;
});
