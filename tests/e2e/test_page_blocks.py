"""How the page cuts an answer into the blocks that it reads one by one: ingest/web/src/chat/blocks.ts alone, in Node."""

import json
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT

MODULES = ROOT / "build" / "web" / "work" / "node_modules"  # what the page is made with; ops/build leaves it
BLOCKS = ROOT / "ingest" / "web" / "src" / "chat" / "blocks.ts"
PROSE = "Water boils at a hundred degrees.\n" * 80 + "\n"  # long enough for a block of its own


@pytest.fixture(scope="module")
def blocks_of(tmp_path_factory: pytest.TempPathFactory):
    """Of each of several texts, its blocks: what is Markdown as it is, what is plain with "plain: " before it."""
    home: Path = tmp_path_factory.mktemp("blocks")
    (home / "entry.ts").write_text(
        f'import {{ blocksOf }} from "{BLOCKS}";\nimport {{ readFileSync }} from "node:fs";\n'
        'const said = JSON.parse(readFileSync(0, "utf8")).map((text) => blocksOf(text).map((block) => (block.plain ? "plain: " : "") + block.text));\n'
        "process.stdout.write(JSON.stringify(said));\n"
    )
    bundle = [MODULES / ".bin" / "esbuild", home / "entry.ts", "--bundle", "--platform=node", f"--outfile={home / 'entry.cjs'}", "--log-level=error"]
    subprocess.run(bundle, check=True, timeout=60)

    def run(*texts: str) -> list[list[str]]:
        done = subprocess.run(["node", home / "entry.cjs"], input=json.dumps(texts), capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    return run


FILLING = "a line of it\n\n" * 250  # longer than a block has to be
TOGETHER = {
    "fenced code": f"```py\n{FILLING}```\n",
    "a longer fence around a shorter one": f"````\n```\n{FILLING}````\n",
    "a fence of tildes": f"~~~ py\n```\n{FILLING}~~~\n",
    "fenced code right behind a list": f"- item\n```\n{FILLING}```\n",
    "a list with blank lines between its items": "1. one\n\n   more of it\n\n" * 150,
    "a list with code in it": "- item\n\n  ```\n  a\n\n  b\n  ```\n\n" * 100,
    "a list whose items begin with code": "- ```\n  a\n\n  b\n  ```\n\n" * 100,
    "a comment": f"<!-- {FILLING}-->\n",
    "HTML that keeps its blanks": f"Text\n<pre>\n{FILLING}</pre>\n",
    "indented code": "    a\n\n" * 500,
    "a note of many paragraphs": "[^1]: one\n\n" + "    two\n\n" * 300,
}


@pytest.mark.parametrize("text", TOGETHER.values(), ids=TOGETHER.keys())
def test_a_block_ends_at_no_blank_line_behind_which_it_goes_on(blocks_of, text: str):
    assert blocks_of(f"{text}\nBehind it.\n") == [[f"{text}\n", "Behind it.\n"]]


def test_as_an_answer_grows_the_blocks_before_its_last_ones_stay_as_they_are(blocks_of):
    text = "".join(f"{PROSE}{each}\n" for each in TOGETHER.values()) * 2
    *grown, whole = blocks_of(*(text[:length] for length in range(0, len(text), 997)), text)
    assert len(whole) > 30
    for blocks in grown:
        assert blocks[:-2] == whole[: max(0, len(blocks) - 2)]


def test_small_blocks_are_read_together(blocks_of):
    text = "# Water\n\nIt boils.\n\n" * 1000
    blocks = blocks_of(text)[0]
    assert "".join(blocks) == text and all(2000 <= len(block) < 2100 for block in blocks[:-1])


def test_a_long_list_goes_on_as_another_with_its_numbers(blocks_of):
    text = "".join(f"{n}. item\n\n   more of it\n\n" for n in range(1, 1001))
    blocks = blocks_of(text)[0]
    assert "".join(blocks) == text and all(8000 <= len(block) < 8100 for block in blocks[:-1])
    same = "1. item\n" * 3000  # it would begin anew
    assert [block[:7] for block in blocks_of(same)[0]] == ["1. item", "plain: "]


def test_long_code_goes_on_as_code(blocks_of):
    code = "a line of it\n\n" * 4000
    blocks = blocks_of(f"```py\n{code}```\n\n{PROSE}")[0]
    assert all(block.startswith("```py\n") and len(block) <= 20_020 for block in blocks[:-1])
    assert "".join(block.removeprefix("```py\n") for block in blocks) == f"{code}```\n\n{PROSE}"


def test_what_is_behind_the_bound_of_a_block_is_plain_and_no_more(blocks_of):
    table = "| a | b |\n| - | - |\n" + "| 1 | 2 |\n" * 3000
    assert [block[:10] for block in blocks_of(f"{table}\n{PROSE}")[0]] == ["| a | b |\n", "plain: | 1", PROSE[:10]]


def test_what_lies_too_deep_in_one_another_is_plain_and_no_more(blocks_of):
    deep = {
        "lists": "".join("  " * level + "- x\n" for level in range(100)),
        "tabs": "".join("\t" * level + "1. x\n" for level in range(100)),
        "lists in a quote": "".join("> " + "  " * level + "- x\n" for level in range(100)),
        "quotes": "> " * 100 + "x\n",
        "both in a line": "- > " * 100 + "x\n",
        "emphasis": "*a **b " * 300 + "c** d*" * 300 + "\n",
        "pictures": "![" * 300 + "a" + "](b)" * 300 + "\n",
    }
    for name, text in deep.items():
        first, *rest = blocks_of(f"Before it.\n{text}\n{PROSE}")[0]
        assert first.startswith("Before it.\n") and [block[:7] for block in rest] == ["plain: ", PROSE[:7]], name
    flat = {
        "a rule": "- " * 100 + "\n",
        "one list behind another": "- a\n  - b\n" * 150,
        "code": "```\n" + "".join("  " * level + "- x\n" for level in range(100)) + "```\n",
        "emphasis": "*a* **b** _c_ ~~d~~ [e](f) " * 60 + "\n",
        "names": "a_name * another_one ** 2\n" * 60,
    }
    for name, text in flat.items():
        assert "".join(blocks_of(text)[0]) == text, name


def test_a_block_has_with_it_what_it_refers_to(blocks_of):
    text = f"{PROSE}See [that][One] and[^2].\n\n{PROSE}{PROSE}[one]: https://example.org 'first'\n[one]: https://example.org/2\n[Note]: not an address\n\n[^2]: A note.\n"
    first, second, third, last = blocks_of(text)[0]
    assert [first, third] == [PROSE, PROSE]
    assert second.startswith("[one]: https://example.org 'first'\n\n[^2]:\n\nSee [that]")
    assert "not an address" not in first + second + third
