"""Opens pages in Chromium, uses them as a reader does, and prints what it saw as JSON.

It runs in the environment ``.tools/browser``, which has nothing of this project:

    python browser_script.py OPTIONS

OPTIONS is a JSON document: chromium (the path of the browser), axe (the path of axe.min.js), page (a file), folder
(receives screenshots and downloads), widths.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

HEIGHT = 900
WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def listen(page: Page, messages: list[str]) -> None:
    """Note every console message, error and request that is not for the page itself."""
    page.on("console", lambda message: messages.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else messages.append(request.url),
    )


def look(browser: Browser, options: dict[str, Any], width: int, scheme: str) -> dict[str, Any]:
    """Return what is seen at a width in light or dark: messages, the width of the content, and axe's findings."""
    # axe runs in the page, whose policy allows the page's own script only.
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT}, color_scheme=scheme, bypass_csp=True, offline=True
    )
    page = context.new_page()
    messages: list[str] = []
    listen(page, messages)
    page.goto(Path(options["page"]).as_uri())
    seen = {
        "width": width,
        "scheme": scheme,
        "messages": list(messages),
        "content_width": page.evaluate("document.documentElement.scrollWidth"),
        "background": page.evaluate("getComputedStyle(document.body).backgroundColor"),
        "unlabelled_ink": page.evaluate(
            "[...new Set([...document.querySelectorAll('svg text')].map(t => getComputedStyle(t).fill))]"
        ),
    }
    page.screenshot(path=str(Path(options["folder"]) / f"{width}-{scheme}.png"), full_page=True)
    page.add_script_tag(path=options["axe"])
    result = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", WCAG_AA
    )
    seen["violations"] = [
        f"{found['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for found in result["violations"]
        for node in found["nodes"]
    ]
    seen["rules_passed"] = len(result["passes"])
    context.close()
    return seen


def use(browser: Browser, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader gets with the keyboard and the mouse, under the page's own policy."""
    context = browser.new_context(viewport={"width": 1280, "height": HEIGHT}, accept_downloads=True, offline=True)
    page = context.new_page()
    messages: list[str] = []
    listen(page, messages)
    page.goto(Path(options["page"]).as_uri())
    page.keyboard.press("Tab")
    skip = page.evaluate("document.activeElement.textContent")
    downloads = []
    for link in page.locator("a.download").all():
        with page.expect_download() as info:
            link.click()
        downloads.append({"name": info.value.suggested_filename, "text": Path(info.value.path()).read_text("utf-8")})
    filtered = {}
    for name in page.locator("#category option").all_text_contents():
        page.locator("#category").select_option(label=name)
        shown = page.locator("[data-category]:visible").evaluate_all("all => all.map(e => e.dataset.category)")
        filtered[name] = {"shown": shown, "said": page.locator(".filter output").text_content()}
    tables = page.locator(".table").evaluate_all("all => all.map(e => [e.tabIndex, e.getAttribute('aria-label')])")
    context.close()
    return {"skip": skip, "downloads": downloads, "filtered": filtered, "tables": tables, "messages": messages}


def without_script(browser: Browser, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader sees whose browser runs no script."""
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(Path(options["page"]).as_uri())
    seen = {name: page.locator(f"{name}:visible").count() for name in ("table", "svg", "form", "tbody tr")}
    context.close()
    return seen


def main(options: dict[str, Any]) -> None:
    """Run everything in one browser."""
    with sync_playwright() as playwright:
        # As root, Chromium does not start with its sandbox. The pages are files that the tests made.
        browser = playwright.chromium.launch(executable_path=options["chromium"], args=["--no-sandbox"])
        seen = [look(browser, options, width, scheme) for width in options["widths"] for scheme in ("light", "dark")]
        print(  # noqa: T201 (the result)
            json.dumps({"seen": seen, "used": use(browser, options), "plain": without_script(browser, options)})
        )
        browser.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
