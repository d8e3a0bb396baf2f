"""Descriptions, which come as HTML, as plain text and as Markdown.

Needs the extra `text`. The HTML is whatever anybody wrote: it is reduced to a known few tags and attributes first, so
that neither the libraries nor what shows the result have to cope with the rest. Reading never raises.
"""

from __future__ import annotations

import re
from typing import Any, Final

try:
    from bs4 import BeautifulSoup, Tag
    from markdownify import MarkdownConverter
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("bs4", "markdownify"):
        raise
    message = f"reading descriptions needs {error.name}, which an extra brings: pip install 'civitai-ext[text]'"
    raise ImportError(message, name=error.name) from error

__all__ = ["to_markdown", "to_text"]

_DROPPED: Final = frozenset(
    ("embed", "head", "iframe", "math", "noscript", "object", "script", "style", "svg", "template", "textarea", "title")
)
_BLOCKS: Final = frozenset(
    ("article", "blockquote", "caption", "dd", "div", "dl", "dt", "figcaption", "p", "section", "table", "tbody")
) | {"h1", "h2", "h3", "h4", "h5", "h6", "tfoot", "thead", "tr"}
_KNOWN: Final = (
    _BLOCKS
    | {"a", "b", "code", "del", "em", "i", "kbd", "q", "s", "samp", "strong"}
    | {"br", "hr", "img", "li", "ol", "pre", "td", "th", "ul"}
)
_LINKS: Final = {"a": "href", "img": "src"}

_DEEPEST: Final = 40  # the converter calls itself for each level

# What the parser refuses, or takes ages to read: all these patterns take linear time.
_NO_CONTENT: Final = re.compile(r"<!--.*?(?:-->|\Z)|<[!?][^>]*>?", re.DOTALL)
_NO_TAG: Final = re.compile(r"<(?![A-Za-z/][^<>]*>)")
_NO_REFERENCE: Final = re.compile(r"&(?!(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{0,31});)")

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_INVISIBLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\ufeff]+")
_IN_LINKS: Final = str.maketrans({"(": "%28", ")": "%29", "<": "%3C", ">": "%3E", "\\": "%5C"})
_IN_NAMES: Final = str.maketrans({"[": r"\[", "]": r"\]", "<": r"\<", "`": r"\`", "\\": r"\\"})
_BACKTICKS: Final = re.compile(r"`+")
_LINE_END: Final = re.compile(r"[ \t\r\xa0]+$", re.MULTILINE)
_GAP: Final = re.compile(r"\n{3,}")


def to_text(html: str) -> str:
    r"""Give what a reader sees: paragraphs apart, list items marked, without pictures and the targets of links.

    >>> to_text("<h1>Hi</h1><p>Use <b>0.7</b> &amp; more:</p><ul><li>a</li><li>b</li></ul><script>x()</script>")
    'Hi\n\nUse 0.7 & more:\n\n- a\n- b'
    """
    soup = _read(html)
    for tag in soup.find_all(_BLOCKS):
        tag.name = "p"
    for cell in soup.find_all(["td", "th"]):
        cell.name = "span"
        cell.append(" ")
    text = _Text(
        bullets="-",
        convert=["br", "li", "ol", "p", "pre", "ul"],
        escape_asterisks=False,
        escape_underscores=False,
    ).convert_soup(soup)
    return _tidied(text.replace("\xa0", " "))


def to_markdown(html: str) -> str:
    r"""Give Markdown that shows the same; what would run, or load a page of its own, is left out.

    >>> to_markdown('<h2>Use</h2><p>A <b>weight</b> of <i>0.7</i>, see <a href="https://example.com">here</a>.</p>')
    '## Use\n\nA **weight** of *0.7*, see [here](https://example.com).'
    """
    # Everything is escaped: a text may look like Markdown, or like the HTML that Markdown may hold.
    converter = _Markdown(bullets="-", heading_style="atx", newline_style="backslash", escape_misc=True)
    return _tidied(converter.convert_soup(_read(html)))


class _Text(MarkdownConverter):
    def convert_pre(self, el: Any, text: str, parent_tags: Any) -> str:
        return f"\n\n{text}\n\n"


class _Markdown(MarkdownConverter):
    def convert_pre(self, el: Any, text: str, parent_tags: Any) -> str:
        text = text.strip("\n")
        fence = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
        return f"\n\n{fence}\n{text}\n{fence}\n\n" if text else ""


def _read(html: str) -> BeautifulSoup:
    """Parse HTML and keep the known tags; of others what is in them, or nothing."""
    html = _NO_REFERENCE.sub("&amp;", _NO_CONTENT.sub("", html))
    html = _NO_TAG.sub("&lt;", html)
    soup = BeautifulSoup(f"\n{html}", "html.parser")  # without the new line, a short text is taken for a file name
    depths = {id(soup): 0}
    for tag in soup.find_all(True):
        if tag.decomposed or tag.parent is None:
            continue
        depths[id(tag)] = depth = depths[id(tag.parent)] + 1
        if tag.name in _DROPPED or not _keep_attributes(tag):
            tag.decompose()
        elif depth >= _DEEPEST:
            text = tag.get_text()
            tag.clear(decompose=True)
            tag.append(text)
        elif tag.name not in _KNOWN:
            tag.name = "span"
    return soup


def _keep_attributes(tag: Tag) -> bool:
    """Reduce the attributes to those that count; False if nothing is left of the tag without them."""
    link = _LINKS.get(tag.name)
    target = _safe_link(str(tag.get(link) or "")) if link else ""
    name = " ".join(str(tag.get("alt") or "").split()).translate(_IN_NAMES)
    tag.attrs.clear()
    if link and target:
        tag.attrs[link] = target
    if tag.name == "img":
        tag.attrs["alt"] = name
        return bool(target)
    return True


def _safe_link(target: str) -> str:
    """Give a link as it can stand in Markdown; an empty text if it is none that leads to a page, a file or a person."""
    target = _INVISIBLE.sub("", target.strip().replace(" ", "%20"))
    if _SCHEME.match(target) and not target.lower().startswith(("http:", "https:", "mailto:")):
        return ""
    return target.translate(_IN_LINKS)


def _tidied(text: str) -> str:
    return _GAP.sub("\n\n", _LINE_END.sub("", text)).strip()
