"""The landing page in a real browser: by mouse and by keyboard, in light and in dark, with a script and without.

What it looks like to people who see little is computed here: contrast as WCAG 2.2 defines it, level AA.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, Server

HOSTILE = b"""<body><p id=t>quiet</p><script>t.textContent = "ran"</script><style>p { color: red }</style>
<img src=x onerror="t.textContent = 'ran'">"""
BROKEN = b'{"version": 1, "updatedAt": "2026-11-23T01:00:00Z", "published": {"total": "<b>"}, "stored": null}'
SCHEMES = ("light", "dark")
BLOCKS = ("nix-conf", "nixos", "once", "builder", "hook")

# Every element with text of its own: its color against the backgrounds below it, blended as they are painted.
CONTRASTS = """() => {
  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const luminance = (color) => {
    const [r, g, b] = color.map((c) => {
      const s = c / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    const chain = [];
    for (let e = element; e; e = e.parentElement) { chain.unshift(rgba(getComputedStyle(e).backgroundColor)); }
    return chain.reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.body.querySelectorAll('*')) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim()).map((n) => n.data.trim());
    if (!text.length || ['SCRIPT', 'STYLE'].includes(element.tagName)) { continue; }
    const style = getComputedStyle(element);
    const below = background(element);
    const [light, dark] = [luminance(over(rgba(style.color), below)), luminance(below)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    found.push({ text: text[0], ratio: (light + 0.05) / (dark + 0.05), wanted: isLarge ? 3 : 4.5 });
  }
  return found;
}"""


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Iterator[Page]:
    """The page, loaded; afterwards the browser must have had nothing to complain of."""
    page = context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.address}/", wait_until="networkidle")
    yield page
    assert complaints == []


def _until(page: Page, condition: str) -> None:
    """Wait for it. Playwright's own way compiles text in the page, which the page's policy forbids."""
    for _ in range(500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    pytest.fail(f"still not so: {condition}")


def _clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_it_asks_its_own_host_alone_and_twice(page: Page, server: Server) -> None:
    assert server.asked == ["/", "/status.json"]
    assert page.title() == "cache.example.org · Nix binary cache"


def test_what_a_policy_forbids_does_not_run(page: Page, server: Server) -> None:
    """Were a builder's bytes ever taken for a page, this is what holds: nothing that is not ours runs."""
    server.objects["/nar"] = ("text/html", HOSTILE)
    other = page.context.new_page()
    other.goto(f"{server.address}/nar")
    assert other.inner_text("#t") == "quiet"
    assert other.evaluate("getComputedStyle(t).color") == "rgb(0, 0, 0)"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_button_copies_its_lines_and_says_so(page: Page, block: str) -> None:
    heading = page.inner_text(f"#{block}")
    lines = page.text_content(f"pre[aria-labelledby={block}]")
    page.get_by_role("button", name=f"Copy: {heading}", exact=True).click()
    _until(page, "document.getElementById('said').textContent !== ''")
    assert page.inner_text("#said") == f"Copied: {heading}"
    assert _clipboard(page) == lines
    assert "trusted-public-keys" in str(lines) or block in {"builder", "hook"}


def test_a_second_copy_is_read_out_again(page: Page) -> None:
    page.evaluate(
        """() => {
          window.heard = [];
          const said = document.getElementById('said');
          new MutationObserver(() => { if (said.textContent) { heard.push(said.textContent); } })
            .observe(said, { childList: true, characterData: true, subtree: true });
        }"""
    )
    button = page.get_by_role("button", name="Copy: NixOS configuration.nix")
    for times in (1, 2):
        button.click()
        _until(page, f"heard.length === {times}")
    assert page.evaluate("heard") == ["Copied: NixOS configuration.nix"] * 2


def test_everything_is_reached_and_done_by_keyboard(page: Page) -> None:
    reached: list[str] = []
    while True:
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
              const e = document.activeElement;
              const style = getComputedStyle(e);
              const name = e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent;
              const outline = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
              return [e === document.body ? '' : name, outline];
            }"""
        )
        if not name or name in reached:
            break
        reached.append(name)
        assert outline >= 2, f"the focus cannot be seen on {name}"
    assert reached[0] == "Skip to the lines to copy"
    assert [name for name in reached if name.startswith("Copy: ")] == [
        f"Copy: {page.inner_text(f'#{block}')}" for block in BLOCKS
    ]
    assert reached[-1] == "status.json"
    page.get_by_role("button", name="Copy: Nix /etc/nix/nix.conf").focus()
    page.keyboard.press("Enter")
    _until(page, "document.getElementById('said').textContent !== ''")
    assert _clipboard(page).startswith("extra-substituters = https://cache.example.org\n")


def test_the_first_link_skips_to_the_lines(page: Page) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_where_copying_is_refused_the_lines_are_selected(page: Page) -> None:
    page.evaluate("() => { navigator.clipboard.writeText = async () => { throw new Error('refused'); }; }")
    page.get_by_role("button", name="Copy: Nix /etc/nix/nix.conf").click()
    _until(page, "document.getElementById('said').textContent !== ''")
    assert "Selected" in page.inner_text("#said")
    assert page.evaluate("getSelection().toString()") == page.text_content("pre[aria-labelledby=nix-conf]")


def test_the_counts_are_live(page: Page, server: Server) -> None:
    assert page.inner_text("#published") == "48,211"
    status = json.loads(server.objects["/status.json"][1])
    status["published"]["total"] = 1_000_000
    status["stored"]["bytes"] = 2_500_000_000_000
    server.objects["/status.json"] = ("application/json", json.dumps(status).encode())
    page.clock.install()
    page.reload(wait_until="networkidle")
    assert (page.inner_text("#published"), page.inner_text("#stored")) == ("1,000,000", "2.5 TB")
    status["published"]["total"] = 1_000_001
    server.objects["/status.json"] = ("application/json", json.dumps(status).encode())
    page.clock.fast_forward(60_000)
    _until(page, "document.getElementById('published').textContent === '1,000,001'")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"version": 2}', BROKEN])
def test_counts_that_are_broken_change_nothing(context: BrowserContext, server: Server, body: bytes) -> None:
    server.objects["/status.json"] = ("application/json", body)
    page = context.new_page()
    page.goto(f"{server.address}/", wait_until="networkidle")
    assert [page.inner_text(f"#{name}") for name in ("published", "recent", "stored")] == [
        "48,211",
        "1,730",
        "311.4 GB",
    ]
    assert "Invalid" not in page.inner_text("#updated")


def test_without_a_script_it_says_all_the_same(browser: Browser, server: Server) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{server.address}/")
        assert page.locator("button").count() == 0
        assert page.locator("pre").count() == len(BLOCKS)
        assert page.inner_text("#published") == "48,211"
    assert server.asked == ["/"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", ["/", "/private"])
def test_contrast_is_enough_for_everything_that_is_read(page: Page, server: Server, scheme: str, path: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(server.address + path, wait_until="networkidle")
    page.get_by_role("button", name="Copy: Nix /etc/nix/nix.conf").click()
    _until(page, "document.getElementById('said').textContent !== ''")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 30
    assert [text for text in found if text["ratio"] < text["wanted"]] == []


def test_the_schemes_differ(page: Page) -> None:
    backgrounds = set()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == len(SCHEMES)


@pytest.mark.parametrize("width", [320, 390, 768, 1000])
def test_nobody_scrolls_sideways(page: Page, width: int) -> None:
    """320 pixels are what is left of 1280 at 400 percent (WCAG 1.4.10); lines to copy scroll inside their box."""
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """() => [...document.querySelectorAll('button')]
          .map((b) => b.getBoundingClientRect()).filter((b) => b.width < 24 || b.height < 24).length"""
    )
    assert small == 0


def test_every_table_list_and_button_has_its_role_and_name(page: Page) -> None:
    tree = page.locator("body").aria_snapshot()
    for line in (
        '- heading "cache.example.org" [level=1]',
        '- heading "Use it" [level=2]',
        '- heading "Keys to trust" [level=2]',
        '- heading "Push to it" [level=2]',
        '- columnheader "Public key"',
        "- 'button \"Copy: NixOS configuration.nix\"'",
        '- region "Keys to trust"',
        "- banner",
        "- main",
        "- contentinfo",
    ):
        assert line in tree


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pictures_for_the_docs(page: Page, scheme: str, request: pytest.FixtureRequest) -> None:
    directory: Path | None = request.config.getoption("--screenshots")
    if directory is None:
        pytest.skip("no --screenshots")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 860, "height": 1040})
    picture = directory / f"landing-{scheme}.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 0
