"""A host's stored figures as one HTML page with drawings: no script, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from bramble.bench.verdict import Judged, band, number

WIDTH, LABEL, ROW, BAR = 900, 190, 26, 12
# Room beside the longest bar for its figure and a word.
BESIDE = 110
COLOURS = {"plausible": "#2a7", "unbounded": "#2a7", "unlikely": "#c80"}
SHOWN = 8
BAD, GREY = "#c33", "#789"
STYLE = (
    "body{font:14px/1.5 sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}"
    "svg{width:100%;height:auto}text{font:12px sans-serif;fill:#222}li{margin:.2em 0}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}text{fill:#ddd}}"
)


def page(hosts: Sequence[tuple[str, Sequence[Judged]]]) -> str:
    """Return the page: for each host its results, the newest first, and what the newest means."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>bramble bench</title><style>{STYLE}</style><h1>Answers in tokens per second</h1>",
        "<p>A bar is the median of a benchmark's runs, the thin line from the smallest to the largest. "
        "Green shade: usual for such a board. Red line: what the memory allows at most. "
        "Grey lines: what the articles say.</p>",
    ]
    parts += [_host(name, results) for name, results in hosts if results]
    return "\n".join([*parts, "</html>"]) + "\n"


def _host(name: str, results: Sequence[Judged]) -> str:
    """Draw the host's last results with the model of its newest, as another model has another scale."""
    newest = results[0]
    model = newest.result.model.sha256
    results = [judged for judged in results if judged.result.model.sha256 == model][:SHOWN]
    words = [
        newest.claim.sentence if newest.claim else "",
        *newest.because,
        newest.comparison.sentence,
        *(cause.got for cause in newest.causes if cause.state == "found" and not newest.because),
    ]
    items = "".join(f"<li>{escape(word)}</li>" for word in words if word)
    board = newest.result.board.model
    return (
        f"<h2>{escape(name)}</h2><p>{escape(board)}: {escape(newest.result.model.name)}</p>"
        f"{_drawing(results)}<ul>{items}</ul>"
    )


def _drawing(results: Sequence[Judged]) -> str:
    newest = results[0]
    most = newest.speed.most if newest.speed else None
    spans = [span for judged in results if (span := judged.result.span("answer_tps"))]
    articles = [(row.article, *row.generation) for row in newest.articles if row.generation]
    highest = max([1e-9, *(high for _, high in spans), most or 0, *(a[2] for a in articles)])
    height = ROW * (len(results) + len(articles)) + 24

    def x(value: float) -> float:
        return round(LABEL + (WIDTH - LABEL - BESIDE) * value / highest, 1)

    parts = [f"<svg viewBox='0 0 {WIDTH} {height}' role='img' aria-label='tokens per second'>"]
    if newest.speed and newest.speed.usual:
        low, high = newest.speed.usual
        parts.append(_rect(x(low), 0, x(high) - x(low), height - 24, "#2a7", 0.15))
    for place, judged in enumerate(results):
        parts += _row(judged, ROW * place + ROW // 2, x)
    for place, (letter, low, high) in enumerate(articles, len(results)):
        y = ROW * place + ROW // 2
        parts.append(f"<text x='0' y='{y + 4}'>article {escape(letter)}</text>")
        parts.append(_line(x(low), x(high), y, GREY))
        parts.append(f"<text x='{x(high) + 6}' y='{y + 4}'>{band(low, high)}</text>")
    if most:
        parts.append(
            f"<line x1='{x(most)}' x2='{x(most)}' y1='0' y2='{height - 24}' stroke='{BAD}' "
            f"stroke-width='2'/><text x='{x(most)}' y='{height - 6}' text-anchor='middle'>"
            f"{most:g} at most</text>"
        )
    return "".join([*parts, "</svg>"])


def _row(judged: Judged, y: int, x: Callable[[float], float]) -> list[str]:
    result = judged.result
    answer, span = result.median("answer_tps"), result.span("answer_tps")
    label = f"<text x='0' y='{y + 4}'>{escape(result.at)}</text>"
    if answer is None or span is None:
        return [label, f"<text x='{LABEL}' y='{y + 4}'>no figures</text>"]
    colour = COLOURS.get(judged.claim.verdict, BAD) if judged.claim else GREY
    held = " held back" if any(run.held_back for run in result.good) else ""
    return [
        label,
        _rect(LABEL, y - BAR / 2, x(answer) - LABEL, BAR, colour, 1),
        _line(x(span[0]), x(span[1]), y, "currentColor"),
        f"<text x='{x(span[1]) + 6}' y='{y + 4}'>{number(answer)}{held}</text>",
    ]


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float) -> str:
    return (
        f"<rect x='{x}' y='{y}' width='{max(width, 1):.1f}' height='{height}' fill='{colour}' "
        f"fill-opacity='{opacity}'/>"
    )


def _line(low: float, high: float, y: float, colour: str) -> str:
    """Draw a line between two places; one without length becomes a dot."""
    return (
        f"<line x1='{low - 2}' x2='{high + 2}' y1='{y}' y2='{y}' stroke='{colour}' "
        "stroke-width='3'/>"
    )
