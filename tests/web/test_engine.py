"""The observation engine: trees, CSS-lite, roles, names and lines."""

import pytest

from agentgym.tools.browser.css import compiled, specificity
from agentgym.tools.browser.dom import MAX_NODES, linked_sheets, parse_html
from agentgym.tools.browser.forms import Controls
from agentgym.tools.browser.lines import read
from agentgym.tools.browser.names import Namer
from agentgym.tools.browser.roles import role_of


def lines(html, controls=None, sheets=()):
    return list(read(parse_html(html, sheets), controls or Controls()).lines)


def named(html, tag):
    document = parse_html(html)
    element = next(item for item in document.elements if item.tag == tag)
    return Namer(document).name(element, role_of(element))


# ------------------------------------------------------------------ visibility


@pytest.mark.parametrize(
    "html",
    [
        "<p hidden>no</p>",
        "<p style='display:none'>no</p>",
        "<p style='visibility: hidden'>no</p>",
        "<style>.x{display:none}</style><p class=x>no</p>",
        "<style>p{display:block}.x{display:none!important}#i{display:block}</style><p class=x id=i>no</p>",
        "<style>@media (min-width: 700px){p{display:none}}</style><p>no</p>",
        "<style>@media screen{p{visibility:collapse}}</style><p>no</p>",
        "<p aria-hidden=true>no</p>",
        "<div inert><p>no</p></div>",
        "<details><summary>s</summary><p>no</p></details>",
        "<dialog>no</dialog>",
        "<template>no</template><script>no</script><style>no</style>",
        "<input type=hidden value=no>",
        "<div style='display:none'><div style='display:block'>no</div></div>",
    ],
)
def test_what_is_hidden_is_not_read(html):
    assert not any("no" in line for line in lines(html))


@pytest.mark.parametrize(
    "html",
    [
        "<div style='visibility:hidden'><b style='visibility:visible'>yes</b></div>",
        "<style>.x{display:none} p.x{display:block}</style><p class=x>yes</p>",
        "<style>p:hover{display:none} @media print{p{display:none}} @media (max-width:600px){p{display:none}}</style><p>yes",
        "<details open><summary>s</summary><p>yes</p></details>",
        "<noscript>yes</noscript>",
        "<style>p{{{display:none;;}}}}</style><p>yes</p>",
        "<style>p::before{display:none}</style><p>yes</p>",
        "<p style='opacity:0'>yes</p>",
    ],
)
def test_what_is_shown_is_read(html):
    assert any("yes" in line for line in lines(html))


def test_generated_text_and_transforms_are_read():
    html = "<style>.r::after{content:' *'} b::before{content:'\"q\"'} th{text-transform:uppercase}</style>"
    assert lines(html + "<p class=r>name</p><b>x</b><table><tr><th>head<td>v</table>") == ["name *", '"q"x', "HEAD | v"]


@pytest.mark.parametrize(
    ("css", "html", "expected"),
    [
        ("i::before{content:attr(data-x) ': ' attr(none)}", "<i data-x=Q>k</i>", ["Q: k"]),
        ("h6{counter-increment:c 2} p::before{content:counter(c,upper-roman) ') '}", "<h6></h6><p>a</p>", ["II) a"]),
        ("body{counter-reset:c 3} p{counter-increment:c} p::after{content:counter(c)}", "<p>a<p>b", ["a4", "b5"]),
        (
            "ol{counter-reset:s} li{counter-increment:s} li::before{content:counters(s,'.') ' '}",
            "<ol><li>a<ol><li>b<li>c</ol><li>d</ol><ol><li>e</ol>",
            ["- 1 a", "- 1.1 b", "- 1.2 c", "- 2 d", "- 1 e"],
        ),
        ("p{counter-increment:c} p::before{content:counter(c)}", "<p hidden>no<p>yes", ["1yes"]),
        ("p::before{content:'*' / 'star'}", "<p>a</p>", ["*a"]),
        ("p::before{content:'*';display:none} b::before{content:'*';visibility:hidden}", "<p>a <b>b</b></p>", ["a b"]),
        ("p::before{content:'*'} p{visibility:hidden}", "<p>a</p>z", ["z"]),
        (
            ":root{--a:'A';--d:var(--a) 'D'} .s{--a:'S'} i::before{content:var(--a)} b::before{content:var(--no,'-') var(--d)}",
            "<p><i></i> <span class=s><i></i></span> <b></b> <i style='--a: \"I\"'></i>",
            ["A S -AD I"],
        ),
        ("i{--x:var(--x) 'x'} i::before{content:var(--x)}", "<i>k</i>", ["xxxxxk"]),
        ("", "<q>x <q>y</q></q>", ["“x ‘y’”"]),
        ("body{quotes:'<' '>'} b::before{content:open-quote} b::after{content:close-quote}", "<b>x</b>", ["<x>"]),
        ("q{quotes:none}", "<q>x</q>", ["x"]),
        ("q::before,q::after{content:none}", "<q>x</q>", ["x"]),
    ],
)
def test_what_style_sheets_write(css, html, expected):
    assert lines(f"<style>{css}</style>{html}") == expected


def test_counters_are_no_part_of_names_and_alternative_texts_are():
    html = "<style>a{counter-increment:c} a::before{content:counter(c) '. '} b::before{content:'*' / 'star'}</style>"
    assert named(html + "<a href=/>x<b>y</b></a>", "a") == ". xstar y"


def test_owned_elements_are_read_where_their_owner_stands():
    html = "<p id=x>X</p><div aria-owns='y x gone y'>own</div><ul><li id=y>Y</ul><p aria-owns='x z'>p<i id=z></i></p>"
    assert lines(html) == ["own", "- Y", "X", "p"]
    assert named("<button aria-owns=a>own</button><i id=a>A</i>", "button") == "own A"
    assert lines("<div id=o><div aria-owns=o>in itself</div></div>") == ["in itself"]
    assert lines("<div id=a aria-owns=b>a</div><div id=b aria-owns=a>b</div>") == ["a", "b"]


def test_linked_sheets_come_before_the_page_s_own():
    html = "<style>p{display:block}</style><p>yes</p>"
    assert lines(html, sheets=("p{display:none}",)) == ["yes"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("p", (0, 0, 1)),
        ("#a .b p", (1, 1, 1)),
        ("a[href]:not(.x)", (0, 2, 1)),
        ("*", (0, 0, 0)),
        ("li:first-child", (0, 1, 1)),
    ],
)
def test_specificity(selector, expected):
    assert specificity(selector) == expected


def test_rules_that_say_nothing_of_ours_are_dropped():
    assert compiled(("p{color:red} .a{margin:0}",)) == ()


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("html", "tag", "name"),
    [
        ("<span id=a>One</span><span id=b>Two</span><button aria-labelledby='b a'>x</button>", "button", "Two One"),
        ("<button aria-labelledby=gone aria-label=Label>x</button>", "button", "Label"),
        ("<span id=a hidden>Hidden</span><button aria-labelledby=a>x</button>", "button", "Hidden"),
        ("<label for=i>Name</label><input id=i title=t placeholder=p>", "input", "Name"),
        ("<label>Name <input></label>", "input", "Name"),
        ("<label>Pick <select><option>A<option selected>B</select> now</label>", "select", "Pick now"),
        ("<label for=i hidden>Name</label><input id=i title=t>", "input", ""),
        ("<label for=i hidden>One</label><label for=i>Two</label><input id=i>", "input", "Two"),
        ("<label for=i></label><button id=i>x</button>", "button", ""),
        ("<label for=i>One</label><label for=i>Two</label><input id=i>", "input", "One Two"),
        ("<input title=Tip>", "input", "Tip"),
        ("<input placeholder='Type here'>", "input", "Type here"),
        ("<input type=submit>", "input", "Submit"),
        ("<input type=reset value=Back>", "input", "Back"),
        ("<input type=image alt=Go>", "input", "Go"),
        ("<a href=/><img alt='The home'></a>", "a", "The home"),
        ("<a href=/>a<b>b</b> c</a>", "a", "ab c"),
        ("<a href=/>a<div>b</div>c</a>", "a", "a b c"),
        ("<a href=/>see <span hidden>not</span> this</a>", "a", "see this"),
        ("<img alt='' title=T src=x>", "img", "T"),
        ("<fieldset><legend>Group</legend></fieldset>", "fieldset", "Group"),
        ("<table><caption>Cap</caption></table>", "table", "Cap"),
        ("<button>a\n  b\t c</button>", "button", "a b c"),
        ("<svg><title>Icon</title></svg>", "svg", "Icon"),
        ("<a href=/>x<b aria-label=L>z</b>y</a>", "a", "x L y"),
        ("<a href=/>x<img alt=I>y</a>", "a", "x I y"),
        ("<a href=/>x<i style=display:inline-block>k</i>y</a>", "a", "x k y"),
        ("<a href=/>x<i style=display:inline-block></i>y</a>", "a", "xy"),
        ("<h2><a href=/>#3</a> <span> <a href=/x>new</a> </span> <b>y</b></h2>", "h2", "#3newy"),
        ("<h2><b>q</b> <i hidden>h</i> <b>a</b></h2>", "h2", "qa"),
        ("<h2><b>q</b> <img alt=''> <b>a</b></h2>", "h2", "q a"),
        ("<h2>q<a href=/ title=T></a>z<b title=V></b></h2>", "h2", "q T z"),
        ("<select><option label=L></option></select>", "option", ""),
        ("<em title=T>x</em>", "em", ""),
        (
            "<span id=a aria-labelledby=b>A</span><i id=b aria-labelledby=a>B</i><button aria-labelledby='a b'>x</button>",
            "button",
            "A B",
        ),
    ],
)
def test_accessible_names(html, tag, name):
    assert named(html, tag) == name


@pytest.mark.parametrize(
    ("html", "tag", "role"),
    [
        ("<a href=/>x</a>", "a", "link"),
        ("<a>x</a>", "a", "generic"),
        ("<div role='nonsense button'>x</div>", "div", "button"),
        ("<ul role=presentation><li>x</ul>", "ul", "none"),
        ("<input list=d><datalist id=d></datalist>", "input", "combobox"),
        ("<input type=nonsense>", "input", "textbox"),
        ("<select size=3></select>", "select", "listbox"),
        ("<img alt=''>", "img", "none"),
        ("<section>x</section>", "section", "generic"),
        ("<section aria-label=s>x</section>", "section", "region"),
        ("<header>x</header>", "header", "banner"),
        ("<main><header>x</header></main>", "header", "sectionheader"),
        ("<table><tr><th>a<td>b</table>", "th", "rowheader"),
        ("<table><tr><th>a<th>b</table>", "th", "columnheader"),
        ("<table><tr><th>a<td></table>", "th", "columnheader"),
        ("<table><tr><th>a<th>b<td>c</table>", "th", "rowheader"),
        ("<table><tr><th>a<td><td>c</table>", "th", "rowheader"),
        ("<table><tr><th>a<td>&nbsp;</table>", "th", "rowheader"),
        ("<ul role=tablist><li>x</ul>", "li", "generic"),
        ("<ul role=list><li>x</ul>", "li", "listitem"),
        ("<p></p>", "p", "generic"),
        ("<p style=display:flex>x</p>", "p", "generic"),
        ("<p><img></p>", "p", "paragraph"),
        ("<article><aside>x</aside></article>", "aside", "generic"),
        ("<svg aria-label=S></svg>", "svg", "image"),
    ],
)
def test_roles(html, tag, role):
    assert role_of(next(item for item in parse_html(html).elements if item.tag == tag)) == role


# ------------------------------------------------------------------ lines


def test_lines_and_references():
    html = (
        "<title>T</title><nav><a href=/>Home</a> <a href=/x aria-current=page>X</a></nav><h1>Head</h1><p>Some <b>bold</b>"
        " text, <a href=/y>why</a>.</p><ul><li>one<li>two</ul><form><label>Name <input name=n value=Ann required></label>"
        "<label><input type=checkbox checked>News</label><select aria-label=City><option>A<option selected>B</select>"
        "<textarea aria-label=T>a\nb</textarea><input type=password aria-label=P value=abc><button disabled>Go</button></form>"
        "<table><tr><th>N<th>P<tr><td><a href=/1>r1</a><td>$1</table><details><summary>More</summary>x</details>"
    )
    assert lines(html) == [
        "[a1] link 'Home' [a2] link 'X' current",
        "heading 'Head'",
        "Some bold text, [a3] link 'why' .",
        "- one",
        "- two",
        "[a4] textbox 'Name' value='Ann' required [a5] checkbox 'News' checked [a6] combobox 'City' value='B' "
        "options=['A', 'B'] [a7] textbox 'T' value='a⏎b' [a8] textbox 'P' value='•••' [a9] button 'Go' disabled",
        "N | P",
        "[a10] link 'r1' | $1",
        "[a11] summary 'More' collapsed",
    ]


def test_quotes_in_names_are_escaped():
    assert lines("<button>it's \\ here</button>") == ["[a1] button 'it\\'s \\\\ here'"]


def test_long_pages_and_deep_ones_are_cut_with_a_note():
    document = parse_html("<p>x</p>" * (MAX_NODES + 10))
    assert document.cut
    assert len(document.elements) == MAX_NODES
    assert "too long" in read(document, Controls()).lines[-1]
    assert lines("<p>top</p>" + "<div>" * 3000 + "deep")[::2] == ["top"]


@pytest.mark.parametrize("html", ["", " ", "<", "</p>", "\x00", "<!--", "<html><html>", "<table><p>x", "\ud800"])
def test_broken_html_is_read(html):
    assert isinstance(lines(html.encode("utf-8", "replace").decode()), list)


def test_linked_sheets_are_those_of_the_whole_page():
    html = (
        "<base href=/a/><base href=/b/><link rel=stylesheet href=1.css><link rel='alternate StyleSheet' href=2.css>"
        "<link rel=stylesheet media=print href=3.css><link rel=icon href=4.ico><link rel=stylesheet>"
        "<body><p><link rel=stylesheet href='5.css?x=1&amp;y=2'><!-- <link rel=stylesheet href=6.css> -->"
    )
    assert linked_sheets(html) == ("/a/", ("1.css", "2.css", "5.css?x=1&y=2"))
    assert parse_html(html).base == "/a/"
    assert linked_sheets("") == ("", ())
