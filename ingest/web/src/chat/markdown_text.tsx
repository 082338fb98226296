// Markdown as elements. HTML in it is text.
import { type ComponentProps, type ReactNode, memo } from "react";
import Markdown, { type Components, type Options } from "react-markdown";
import remarkBreaks from "remark-breaks";
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

// Markdown gives an address that is not allowed as an empty one. What leads into the page would open it a second time.
function Outside({ href, children }: { href: string | undefined; children: ReactNode }) {
  if (!href || href.startsWith("#")) return children;
  return <a href={href} target="_blank" rel="noopener noreferrer nofollow">{children}</a>;
}

// Markers and indents stand where the text begins.
const asWritten: Components = {
  ul: ({ node: _, ...rest }: Shown<"ul">) => <ul dir="auto" {...rest} />,
  ol: ({ node: _, ...rest }: Shown<"ol">) => <ol dir="auto" {...rest} />,
  blockquote: ({ node: _, ...rest }: Shown<"blockquote">) => <blockquote dir="auto" {...rest} />,
};

// A model may be talked into writing addresses: none is asked for until somebody chooses to go there, an image neither.
const outside: Components = {
  a: ({ href, children }: Shown<"a">) => <Outside href={href}>{children}</Outside>,
  img: ({ src, alt }: Shown<"img">) => <Outside href={src}>{alt || src}</Outside>,
};

// A note stands where the model has put it, under the name that it has there: what refers to it may be in another block.
const notes: NonNullable<Options["remarkRehypeOptions"]>["handlers"] = {
  footnoteReference: (_, { label }) => ({ type: "element", tagName: "sup", properties: {}, children: [{ type: "text", value: label }] }),
  footnoteDefinition(state, node) {
    if (node.children.length === 0) return undefined; // it is in another block
    const label = { type: "element" as const, tagName: "sup", properties: {}, children: [{ type: "text" as const, value: node.label }] };
    return { type: "element", tagName: "div", properties: { className: ["footnote"] }, children: [label, ...state.wrap(state.all(node), true)] };
  },
};

const components: Components = { ...asWide, ...headings, ...asWritten, ...outside };
const plugins = [remarkGfm, remarkBreaks]; // where a model ends a line, the line ends
const toHtml = { handlers: notes };

export const MarkdownText = memo(function MarkdownText({ text }: { text: string }) {
  return <Markdown remarkPlugins={plugins} remarkRehypeOptions={toHtml} components={components}>{text}</Markdown>;
});
