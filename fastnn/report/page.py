"""What is on the report's page, and in which order? One HTML page with style, script and pictures.

It reads without its script, which only adds tooltips, sorting and a copy button. Everything that
comes from the data (names of columns, labels, parameters) passes through ``escape``.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from fastnn.report import sections
from fastnn.report.content import Content
from fastnn.report.front import front
from fastnn.report.markup import terms
from fastnn.report.quality import quality


def render(content: Content) -> str:
    """Return the page as text."""
    here = files(__package__)
    style, script = (
        here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    chosen = next(candidate for candidate in content.candidates if candidate.chosen)
    parts = [
        ("front", "What each cost buys", front(content)),
        ("chosen", "The chosen model", sections.chosen(content, chosen)),
        ("quality", "On rows it has not seen", quality(content)),
        ("learning", "Learning and what it rests on", sections.learning(content)),
        ("candidates", "Every candidate", sections.candidates(content)),
        ("data", "The data in brief", sections.data(content)),
        ("method", "How it was measured", terms(content.method, "long")),
        ("code", "Train it again", sections.code(content)),
    ]
    links = "".join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading, _ in parts)
    body = "".join(
        f'<section id="{anchor}"><h2>{heading}</h2>{inner}</section>'
        for anchor, heading, inner in parts
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(content.title)} · fastnn</title><style>{style}</style></head><body>"
        f'<header><p class="brand">fastnn · trade-off report</p><h1>{escape(content.title)}</h1>'
        f'<p class="lead">{escape(content.summary)}</p>{sections.cards(content, chosen)}'
        f"<nav>{links}</nav></header><main>{body}</main>"
        f'<div id="tip" role="status" hidden></div><script>{script}</script></body></html>\n'
    )
