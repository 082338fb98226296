// What a block refers to and another one defines: `[this][1]`, `[^note]`.
const HEAD_MAX = 4_000; // characters

const normal = (label: string): string => label.trim().replace(/\s+/g, " ").toLowerCase();

const LABEL = String.raw`\[((?:[^[\]\\]|\\.){1,200})\]`;
const ADDRESS = String.raw`(?:<[^<>\\]*>|[^\s<()]+(?:\([^\s()]*\)[^\s()]*)*)`;
const TITLE = String.raw`(?:"[^"\\]*"|'[^'\\]*'|\([^()\\]*\))`;
const link = new RegExp(`^ {0,3}${LABEL}:[ \\t]*${ADDRESS}(?:[ \\t]+${TITLE})?[ \\t\\r]*$`);
const note = /^ {0,3}\[(\^[^\s[\]\\]{1,200})\]:/;

// Of all blocks: a label's first definition stands.
export class References {
  private readonly definitions = new Map<string, string>();

  // Whether a line is a link's definition, which ends no paragraph, and behind which another may stand. Of a note it is enough that there
  // is one: it is shown where it stands.
  take(line: string, first: boolean): boolean {
    const ofNote = note.exec(line)?.[1];
    const label = ofNote ?? (first ? link.exec(line)?.[1] : undefined);
    if (label === undefined || normal(label) === "") return false;
    const definition = ofNote ? `[${label}]:` : line.trim();
    if (!this.definitions.has(normal(label))) this.definitions.set(normal(label), `${definition}\n\n`);
    return !ofNote;
  }

  // The block with what it refers to, and does not define itself, before it.
  with(block: string): string {
    if (this.definitions.size === 0 || /^[ \t]/.test(block)) return block; // what is indented would belong to it
    const used = new Set<string>();
    for (const [, label = ""] of block.matchAll(new RegExp(LABEL, "g"))) {
      const definition = this.definitions.get(normal(label));
      if (definition && !block.includes(definition.trimEnd())) used.add(definition);
    }
    const head = [...used].join("");
    return head.length <= HEAD_MAX ? head + block : block;
  }
}
