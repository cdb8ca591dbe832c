"""One HTML page that needs nothing else: no network, no script, figures inside; it opens from a file and prints."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from polymlops.report.page_records import PageContent

TEMPLATE = "page.html.j2"


def write_page(content: PageContent, path: Path) -> Path:
    """Write the page to `path`, by rename, so that nobody reads half of it; returns the path."""
    text = render_page(content)
    part = path.with_name(path.name + ".part")
    part.write_bytes(text.encode("utf-8", errors="replace"))
    return part.replace(path)


def render_page(content: PageContent) -> str:
    """The page as HTML. Every text is escaped, and the page's own policy lets a browser load and run nothing."""
    from jinja2 import Environment, StrictUndefined

    # Markup in a sample must show as text: nothing in the template is marked safe.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("polymlops.report").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(page=content)
