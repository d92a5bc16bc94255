"""How a piece of Markdown looks on a terminal.

Nothing is hidden: HTML, images and link targets stay visible as text, and what the parser turns
into nothing is shown as it was written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lingma_cli.repl.markdown import Piece, PieceKind

if TYPE_CHECKING:
    from markdown_it.token import Token
    from rich.console import RenderableType
    from rich.segment import Segment

# Colours of the user's own palette, readable on dark and light; no backgrounds.
_CODE_THEME: Final = "ansi_dark"
_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "markdown.block_quote": "dim",
        "markdown.code": "cyan",
        "markdown.code_block": "cyan",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.link": "underline",
        "markdown.link_url": "blue",
        "markdown.title": "bold underline",
    }
)
# Lines of a fence before the one at hand that its highlighting takes into account.
_CODE_CONTEXT: Final = 50
# Below this a rendered table or list is no help any more.
_MIN_WIDTH: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, styled; `cells` is its width on the screen."""

    styled: str
    cells: int


_EMPTY: Final = Line(styled="", cells=0)


class Renderer:
    """Renders the pieces of one answer in their order."""

    def __init__(self) -> None:
        from markdown_it import MarkdownIt
        from rich.console import Console
        from rich.theme import Theme

        self._console = Console(
            theme=Theme(dict(_STYLES)),
            force_terminal=True,
            color_system="standard",
            legacy_windows=False,
            emoji=False,
        )
        self._parser = MarkdownIt("commonmark", {"html": False})
        self._parser.enable(["strikethrough", "table"]).disable("image")
        self._began = False
        self._language = ""
        self._code: deque[str] = deque(maxlen=_CODE_CONTEXT)

    def finished(self, piece: Piece, width: int) -> list[Line]:
        """Return the lines of the next finished piece.

        Args:
            piece: what is to be shown.
            width: columns that prose should take; code may be wider.
        """
        lines = self._spaced(piece, self._lines(piece, width))
        if piece.kind is PieceKind.CODE:
            self._code.extend(piece.text.split("\n"))
        self._began = True
        return lines

    def unfinished(self, piece: Piece, width: int) -> list[Line]:
        """Return the lines of `piece` as it is now; none is wider than `width`."""
        lines = self._spaced(piece, self._lines(piece, width))
        return [line if line.cells <= width else self._cut(line, width) for line in lines]

    def _spaced(self, piece: Piece, lines: list[Line]) -> list[Line]:
        return [_EMPTY, *lines] if self._began and not piece.joins else lines

    def _lines(self, piece: Piece, width: int) -> list[Line]:
        match piece.kind:
            case PieceKind.PROSE:
                return self._prose(piece.text, width)
            case PieceKind.CODE:
                return self._code_lines(piece.text)
            case PieceKind.FENCE_OPENED:
                self._language = piece.text.strip().lstrip("`~").split(" ")[0].strip("{}.")
                self._code.clear()
                return [self._plain(piece.text, "dim")]
            case PieceKind.FENCE_CLOSED:
                return [self._plain(piece.text, "dim")]

    def _prose(self, source: str, width: int) -> list[Line]:
        if width < _MIN_WIDTH:
            return self._as_written(source)
        from rich.markdown import Markdown

        markdown = Markdown("", code_theme=_CODE_THEME, hyperlinks=False)
        markdown.parsed = self._parser.parse(source)
        _adapt(markdown.parsed)
        return self._rendered(markdown, width) or self._as_written(source)

    def _as_written(self, source: str) -> list[Line]:
        return [self._plain(line) for line in source.split("\n")]

    def _rendered(self, renderable: RenderableType, width: int) -> list[Line]:
        options = self._console.options.update(width=width, height=None)
        lines = [
            _line(segments)
            for segments in self._console.render_lines(renderable, options, pad=False)
        ]
        while lines and not lines[-1].cells:
            lines.pop()
        while lines and not lines[0].cells:
            lines.pop(0)
        return lines

    def _code_lines(self, text: str) -> list[Line]:
        from rich.syntax import Syntax

        # Whatever a line is depends on those before: a string or a comment may be open.
        code = "\n".join([*self._code, text]).expandtabs()
        highlighted = Syntax("", self._language or "text", theme=_CODE_THEME).highlight(code)
        lines = highlighted.split("\n", allow_blank=True)[len(self._code) :]
        count = text.count("\n") + 1
        return [_line(line.render(self._console)) for line in lines[:count]]

    def _plain(self, text: str, style: str = "") -> Line:
        from rich.text import Text

        return _line(Text(text.expandtabs(), style=style).render(self._console))

    def _cut(self, line: Line, width: int) -> Line:
        from rich.text import Text

        text = Text.from_ansi(line.styled)
        text.truncate(width, overflow="crop")
        return _line(text.render(self._console))


def _adapt(tokens: Iterable[Token]) -> None:
    for token in tokens:
        # Rich centres or boxes what it knows as a first heading.
        token.tag = "title" if token.tag == "h1" else token.tag
        for child in token.children or ():
            # Models break lines where they mean to, as in verses and addresses.
            child.type = "hardbreak" if child.type == "softbreak" else child.type


def _line(segments: Iterable[Segment]) -> Line:
    from rich.cells import cell_len
    from rich.color import ColorSystem

    kept = [segment for segment in segments if segment.text and not segment.control]
    plain = "".join(segment.text for segment in kept).rstrip()
    left, styled = len(plain), []
    for text, style, _ in kept:
        shown = text[:left]
        left -= len(shown)
        if not shown:
            break
        is_seen = style is not None and (shown.strip() or style.underline)
        styled.append(
            style.render(shown, color_system=ColorSystem.STANDARD) if style and is_seen else shown
        )
    return Line(styled="".join(styled), cells=cell_len(plain))
