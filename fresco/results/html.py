"""A run as one small HTML table, for notebooks. Every text in it is foreign, and escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fresco.results.table import Cells

# The notebook's own colours, light or dark: text inherits them, lines and shades are a translucent grey.
_STYLE = """
.fresco-result { display: inline-block; max-width: 100%; overflow-x: auto; font-size: 13px; line-height: 1.35 }
.fresco-result table { border-collapse: collapse; margin: 0.3em 0; color: inherit }
.fresco-result caption { caption-side: top; text-align: left; font-weight: 600; padding: 0 0 0.4em; color: inherit }
.fresco-result th, .fresco-result td { padding: 0.3em 0.9em; text-align: right; vertical-align: baseline;
  white-space: nowrap; border: 0; background: none; color: inherit; font-variant-numeric: tabular-nums }
.fresco-result thead th { vertical-align: bottom; border-bottom: 1px solid rgba(128, 128, 128, 0.6) }
.fresco-result tr > th:first-child { padding-left: 0 }
.fresco-result tbody th { text-align: left; font-weight: 400; white-space: normal; overflow-wrap: anywhere;
  max-width: 26em }
.fresco-result tbody tr { border-bottom: 1px solid rgba(128, 128, 128, 0.2); background: none }
.fresco-result tbody tr.named th { font-weight: 600 }
.fresco-result small { opacity: 0.65; font-size: 11px; font-weight: 400 }
.fresco-result td i { display: inline-block; min-width: 2em; text-align: left; opacity: 0.65; font-size: 11px }
.fresco-result p { margin: 0.15em 0; opacity: 0.75; font-size: 12px; white-space: normal }
"""


def result_html(
    title: str, rerankers: Sequence[str], cells: Cells, remarks: Sequence[str] = (), named: Sequence[str] = ()
) -> str:
    """The table with what must be read beside it.

    Args:
        title: Above the table.
        rerankers: One for each row.
        cells: See :func:`fresco.results.table.table_cells`.
        remarks: Below, one paragraph each.
        named: Rows that stand out.
    """
    head = "".join(f"<th>{_header(header)}</th>" for header in cells.headers)
    lettered = [any(letters for _, letters in column) for column in zip(*cells.rows, strict=True)]
    body = "".join(
        f"<tr class='{'named' if name in named else 'baseline'}'><th>{escape(name)}</th>"
        f"{''.join(_cell(*cell, lettered=own) for cell, own in zip(row, lettered, strict=True))}</tr>"
        for name, row in zip(rerankers, cells.rows, strict=True)
    )
    below = "".join(f"<p>{escape(remark)}</p>" for remark in remarks)
    return (
        f'<div class="fresco-result"><style>{_STYLE}</style><table><caption>{escape(title)}</caption>'
        f"<thead><tr><th style='text-align: left'>re-ranker</th>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{below}</div>"
    )


def _header(header: str) -> str:
    what, _, measure = header.partition("\n")
    return f"{escape(what)}<br><small>{escape(measure)}</small>"


def _cell(figure: str, letters: str, *, lettered: bool) -> str:
    value, _, interval = figure.partition(" ")
    around = f" <small>{escape(interval)}</small>" if interval else ""
    group = f" <i>{escape(letters)}</i>" if lettered else ""  # room for it in each row, so that digits stand in line
    return f"<td>{escape(value)}{around}{group}</td>"
