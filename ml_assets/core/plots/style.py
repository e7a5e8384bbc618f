"""The style of every picture: a small, deterministic SVG of 420 x 320 px with real text. No pyplot, no global state."""

import re
import warnings
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO, StringIO
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias
from unicodedata import east_asian_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw: TypeAlias = "Callable[[Axes], None]"

# Okabe and Ito: told apart with every common colour vision; the line styles differ as well.
COLORS = {"candidate": "#0072B2", "champion": "#D55E00", "baseline": "#CC79A7", "actual": "#7A7A7A", "good": "#009E73"}
STYLES = {"candidate": "-", "champion": "--", "baseline": "-.", "actual": ":"}
INK, GRID = "#333333", "#E3E3E3"
_FINE = re.compile(r"\d+\.\d{2,}")
_MARKERS = re.compile(r'<g clip-path="([^"]*)">((?:<use [^>]*style="([^"]*)"/>)+)')
_TEXT = "font-size: 8px; font-family: 'DejaVu Sans', 'Verdana', 'Arial', sans-serif; "
_INCHES, _DPI = (420 / 96, 320 / 96), 72  # at 72 a point is a pixel, as in an SVG
_PAD, _TITLE, _LEGEND_LINE = 4, 16, 12
"""Points around the picture, for the title, and for a line of a legend below the axes."""
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ml-assets",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9A9A9A",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "path.simplify": False,
}


def svg(draw: Draw, *, title: str, x: str, y: str, grid: str = "both") -> bytes:
    """Run `draw` on fresh axes and return the picture: equal calls give equal bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        # the letters of a picture are those of whoever looks at it
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=_INCHES, dpi=_DPI)
        axes = figure.add_subplot()
        axes.set(xlabel=x, ylabel=y)
        if grid != "none":
            axes.grid(axis=grid, color=GRID, linewidth=0.6)  # type: ignore[arg-type]
        draw(axes)
        labels = axes.get_legend_handles_labels()[1]
        is_below = bool(labels) and grid == "x"  # rows fill the axes: no free corner
        if is_below:
            figure.legend(loc="lower center", ncols=2, handlelength=1.8, borderaxespad=0.2)
        elif labels:
            axes.legend(loc="best", handlelength=1.8)
        _place(figure, axes, title=title, lines_below=ceil(len(labels) / 2) if is_below else 0)
        file = BytesIO()
        # By the canvas itself: `Figure.savefig` draws everything twice, the first time for a layout that drawing once makes too.
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _slim(file.getvalue().decode()).encode()


def _place(figure: "Figure", axes: "Axes", *, title: str, lines_below: int) -> None:
    """Give the axes what their labels and the title leave. Each axis is measured once, the lower one beside what the other left
    it: matplotlib's layouts measure everything twice, and a title without a place a third time."""
    width, height = figure.bbox.size
    renderer = _renderer(width, height)
    across: Any = axes.yaxis.get_tightbbox(renderer, for_layout_only=True)
    above = max(across.y1 - axes.bbox.y1, 0)  # the factor of large and of small numbers
    figure.subplots_adjust(left=(axes.bbox.x0 - across.x0 + _PAD) / width, top=1 - (above + _TITLE + _PAD) / height)
    along: Any = axes.xaxis.get_tightbbox(renderer, for_layout_only=True)
    below = _LEGEND_LINE * lines_below + _PAD * bool(lines_below)
    figure.subplots_adjust(
        right=1 - (max(along.x1 - axes.bbox.x1, 0) + _PAD) / width,
        bottom=(axes.bbox.y0 - along.y0 + below + _PAD) / height,
    )
    axes.set_title(title, y=1 + above / axes.bbox.height)


def _renderer(width: float, height: float) -> Any:
    """What measures texts, each letter that is as wide as it is high (Chinese, Japanese, Korean, emoji) as a `W`: matplotlib
    takes a letter that its own font lacks for a narrow one."""
    from matplotlib.backends.backend_svg import RendererSVG

    class Measuring(RendererSVG):
        def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> Any:
            shown = "".join("W" if east_asian_width(letter) in "WF" else letter for letter in s)
            return super().get_text_width_height_descent(shown, prop, ismath)  # type: ignore[no-untyped-call]

    return Measuring(width, height, StringIO(), image_dpi=_DPI)  # type: ignore[no-untyped-call]


def as_markdown(picture: bytes, *, name: str = "plot") -> str:
    """The picture as a Markdown image that carries its own data: what the Dagster UI shows inline."""
    return f"![{name}](data:image/svg+xml;base64,{b64encode(picture).decode()})"


def shorten(text: str, limit: int = 20) -> str:
    """A label that fits next to an axis; `$` would start mathematics in matplotlib."""
    safe = text.replace("$", r"\$")
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def _slim(text: str) -> str:
    """Drop what no screen shows: the prologue, fine digits of coordinates, the style repeated on each text."""
    body = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Only coordinates inside tags are rounded: the text between tags is what a person reads.
    body = re.sub(r"<[^>]*>", lambda tag: _FINE.sub(_tenths, tag.group()), body)
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = body.replace(_TEXT, "").replace('<g id="figure_1"', f'<g id="figure_1" style="{_TEXT}"', 1)
    return _MARKERS.sub(_style_once, re.sub(r">\s+<", "><", body))


def _style_once(markers: re.Match[str]) -> str:
    clip, uses, style = markers.groups()
    return f'<g clip-path="{clip}" style="{style}">' + uses.replace(f' style="{style}"', "")


def _tenths(number: re.Match[str]) -> str:
    return f"{float(number.group()):.1f}".removesuffix(".0")
