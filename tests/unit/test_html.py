"""Descriptions as text and as Markdown: what they say, and that no HTML makes reading them fail."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_ext._html import to_markdown, to_text
from civitai_ext.catalogue import Model, ModelVersion

DESCRIPTION = """<h1 id="use">How to <strong>use</strong></h1>
<p>Weight <code>0.6</code>–<em>0.8</em>,<br />see
<a target="_blank" rel="ugc" href="https://example.com/a_(b)?x=1&amp;y=2">the guide</a>&nbsp;&lt;here&gt;.</p>
<ul><li><p>first</p></li><li><p>second</p><ol><li>inner</li></ol></li></ul>
<pre><code>a = 1
  b</code></pre>
<blockquote><p>said</p></blockquote><hr />
<table><tbody><tr><th>Sampler</th><th>Steps</th></tr><tr><td>Euler</td><td>30</td></tr></tbody></table>
<p><img src="https://image.civitai.com/x.jpeg" alt="a cat" onerror="steal()" /></p>"""


def test_text_is_what_a_reader_sees() -> None:
    expected = [
        "How to use",
        "Weight 0.6–0.8,\nsee\nthe guide <here>.",
        "- first\n- second\n\n  1. inner",
        "a = 1\n  b",
        "said",
        "Sampler Steps",
        "Euler 30",
    ]
    assert to_text(DESCRIPTION) == "\n\n".join(expected)


def test_markdown_shows_the_same() -> None:
    expected = [
        "# How to **use**",
        "Weight `0.6`–*0.8*,\\\nsee\n[the guide](https://example.com/a_%28b%29?x=1&y=2)\xa0\\<here\\>.",
        "- first\n- second\n\n  1. inner",
        "```\na = 1\n  b\n```",
        "> said",
        "---",
        "| Sampler | Steps |\n| --- | --- |\n| Euler | 30 |",
        "![a cat](https://image.civitai.com/x.jpeg)",
    ]
    assert to_markdown(DESCRIPTION) == "\n\n".join(expected)


@pytest.mark.parametrize("cls", [Model, ModelVersion])
@pytest.mark.parametrize("body", [{}, {"description": None}, {"description": ""}, {"description": ["<p>"]}])
def test_without_a_description_there_is_no_text(cls: type[Model | ModelVersion], body: dict[str, object]) -> None:
    assert cls.from_dict(body).description_text() == cls.from_dict(body).description_markdown() == ""


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert('here')</script>",
        "<script>if (a < b) alert('here')</script>",
        "<SCRIPT SRC=//evil.example/here.js></SCRIPT>",
        "<style>body { content: 'here' }</style>",
        '<iframe src="https://evil.example/here">here</iframe>',
        "<svg><script>here</script><text>here</text></svg>",
        "<!-- here --> <!-- here > here -->",
        "<!-- here",
        "<?php here ?>",
        "<![CDATA[here]]>",
        "<!ENTITY here>",
        '<a href="x" onclick="here">there</a>',
        '<a href="javascript:here">there</a>',
        '<a href=" JaVa\tScript:here">there</a>',
        '<a href="&#106;avascript&colon;here">there</a>',
        '<a href="&#1;javascript:here">there</a>',
        '<a href="vbscript:here">there</a>',
        '<a href="data:text/html,here">there</a>',
        '<img src="javascript:here">',
        '<img src="data:image/svg+xml,here">',
        '<p title="here" style="here" class="here">there</p>',
    ],
)
def test_what_runs_or_loads_by_itself_is_dropped(html: str) -> None:
    assert "here" not in to_text(html).replace("there", "")
    assert "here" not in to_markdown(html).replace("there", "")


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        ("&lt;script&gt;", r"\<script\>"),
        ("<p>*a* _b_ `c`</p>", r"\*a\* \_b\_ \`c\`"),
        ("<p># a</p>", r"\# a"),
        ('<img src="https://x/y" alt="](javascript:z) &lt;b&gt;">', r"![\](javascript:z) \<b>](https://x/y)"),
        ('<a href="https://x/) [y](z">a</a>', "[a](https://x/%29%20[y]%28z)"),
        ("<pre>```\n&lt;script&gt;\n```</pre>", "````\n```\n<script>\n```\n````"),
    ],
)
def test_a_text_that_looks_like_markup_stays_a_text(html: str, markdown: str) -> None:
    assert to_markdown(html) == markdown


@pytest.mark.parametrize(
    "target", ["https://example.com", "http://example.com", "mailto:a@b.example", "/models/1", "#a"]
)
def test_links_to_pages_and_people_stay(target: str) -> None:
    assert to_markdown(f'<a href="{target}">there</a>') == f"[there]({target})"


@pytest.mark.parametrize("char", ["<", ">", "a < b > c", "<3", "</", "<>", "1 << 2", "&", "&amp", "&#", "&#x;"])
def test_stray_characters_are_text(char: str) -> None:
    assert to_text(f"<p>{char} end</p>") == f"{char} end"


HOSTILE = {
    "deep": "<div>" * 2000 + "x",
    "deep blocks": "<blockquote><ul><li>" * 500 + "x",
    "deep inline": "<b><i>" * 1000 + "x",
    "deep tables": "<table><tr><td>" * 500 + "x",
    "open tags": "<x " * 20000,
    "open comments": "<!--" * 20000,
    "open quotes": '<a href="' * 10000,
    "open declarations": "<![" * 20000,
    "closing tags": "</p>" * 5000,
    "references": "&#" + "9" * 5000 + ";",
    "hexadecimal references": '<a href="&#x' + "f" * 5000 + '">x</a>',
    "headings": "<h" + "9" * 5000 + ">x",
    "number-like attributes": "<ol start='²'><li>x</ol><table><tr><td colspan='²'>x</td></tr></table>",
    "tags that the converter has methods for": "<soup>x</soup><fn_cache>x</fn_cache><_document_>x",
    "rows outside of tables": "<tr><td>x</tr><li>x</li><dd>x</dd><td>x</td>",
    "surrogates": "<p\x00>\ud800\x00x",
    "looks like a file": "model.safetensors",
    "looks like an address": "https://example.com/",
    "looks like xml": "<?xml version='1.0'?><x>x</x>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_html_is_read(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shown in (to_text(HOSTILE[name]), to_markdown(HOSTILE[name])):
            assert isinstance(shown, str)
            assert "<x" not in shown.replace("\\<x", "") or name == "open tags"


TAGS = ["p", "ul", "ol start=", "li", "table", "tr", "td colspan=", "th", "pre", "code", "a href=", "img src=", "br"]
PIECES = st.sampled_from(
    [
        "<",
        ">",
        "/",
        "</",
        "<!--",
        "-->",
        "<![",
        "<?",
        "&",
        "&#",
        ";",
        '"',
        "'",
        "=",
        " ",
        "\n",
        "`",
        "```",
        "[",
        "](",
        "9",
    ]
) | st.sampled_from([*TAGS, "script", "style", "svg", "h1", "h9", "dl", "dt", "dd"]).map("<{}>".format)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_no_html_makes_reading_fail(html: str) -> None:
    assert isinstance(to_text(html), str)
    assert isinstance(to_markdown(html), str)


def test_recorded_descriptions_are_read(shared: Path) -> None:
    read = 0
    for path in sorted(shared.glob("real/site_models/*.json")):
        body = json.loads(path.read_bytes())
        for model in map(Model.from_dict, body.get("items", [body])):
            everything: list[Model | ModelVersion] = [model, *model.model_versions]
            for described in everything:
                words = described.description_text()
                assert "<p" not in words
                assert "<script" not in described.description_markdown()
                if isinstance(described.description, str) and described.description:
                    read += bool(words)
    assert read


@pytest.mark.parametrize("missing", ["markdownify", "bs4"])
def test_without_the_extra_the_error_names_it(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
from civitai_ext.catalogue import Model
model = Model.from_dict({{"description": "<p>x"}})
for read in (model.description_text, model.description_markdown):
    try:
        read()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = f"reading descriptions needs {missing}, which an extra brings: pip install 'civitai-ext[text]'"
    assert done.stdout.splitlines() == [line, line]
