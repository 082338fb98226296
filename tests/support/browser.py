"""A real Chromium (Debian's) for tests of the page, driven by Playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from .paths import ROOT

AXE = ROOT / "build" / "web" / "work" / "node_modules" / "axe-core" / "axe.min.js"  # ingest/web/build brings it
CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = ROOT / "build" / "test" / "screenshots"


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        # As root there is no sandbox; /dev/shm of a container is small.
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """The page in one browser profile, with everything that went wrong in it."""

    def __init__(self, context: BrowserContext, url: str):
        self.url = f"{url}/assay/"
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # What the network says (a server that was killed) is expected; what the page says of itself is not.
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" and "Failed to load resource" not in message.text else None)

    def open(self) -> "Tab":
        self.page.goto(self.url)
        return self

    def ask(self, question: str):
        """Asks, and returns the turn once its answer has begun."""
        self.page.get_by_label("Your question").fill(question)
        self.page.get_by_role("button", name="Send", exact=True).click()
        return self.turn(question)

    def turn(self, question: str):
        return self.page.locator("article.turn", has_text=question).last

    def answered(self, question: str):
        """Asks, and returns the turn once it can be judged."""
        turn = self.ask(question)
        turn.get_by_role("button", name="Good answer").wait_for()
        return turn

    def serious_of_axe(self) -> list:
        """What axe-core finds that is serious or critical: rule, impact, elements. The profile must have been opened with bypass_csp."""
        self.page.add_script_tag(path=AXE)
        found = self.page.evaluate("async () => (await axe.run()).violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html)])")
        return [violation for violation in found if violation[1] in ("serious", "critical")]

    def screenshot(self, name: str, full_page: bool = True) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=full_page)
