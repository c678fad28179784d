"""Which pieces of HTML does every section use? Lists of terms, figures with captions, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def terms(pairs: Sequence[tuple[str, str]], css: str = "") -> str:
    """Return terms and what holds for them; both are escaped here."""
    lines = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in pairs
    )
    return f'<dl class="{css}">{lines}</dl>'


def figure(svg: str, caption: str, css: str = "") -> str:
    """Return a picture with its caption, HTML both."""
    return f'<figure class="{css}">{svg}<figcaption>{caption}</figcaption></figure>'


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    css: str,
    *,
    numeric_from: int = 1,
    tall: bool = False,
) -> str:
    """Return a table of cells that are HTML already; those from ``numeric_from`` on stand right."""
    heads = "".join(
        f"<th{' class=n' if i >= numeric_from else ''}>{cell}</th>" for i, cell in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if i >= numeric_from else ''}>{cell}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    box = "scroll tall" if tall else "scroll"
    return (
        f'<div class="{box}"><table class="{css}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
