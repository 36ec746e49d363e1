"""The language of locators: what it reads, what it refuses, and what it finds, also next to Chromium's own answers."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.environments.web.webarena.dom import PageDom
from agentgym.environments.web.webarena.interpret import Failed, as_python_text, evaluate
from agentgym.environments.web.webarena.locator import NotALocator, parse, parse_click
from tests.web.sites import browser_on
from tests.web.webarena.served import FORUM, PRODUCT

PAGE = (
    "<title>T</title><style>.no{display:none}.up{text-transform:uppercase}</style>"
    "<div id=a class='x y'><p>One  two</p><p>three<br>four</p><span class=no>never</span><b class=up>loud</b></div>"
    "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></table><pre>k  e\n p</pre>"
    "<form><input name=q value=start><textarea name=t>area</textarea><select name=s><option value=1>one"
    "<option value=2 selected>two</select><input type=checkbox name=c checked></form><a href=/x?y=1>link</a>"
    "<ul><li data-n=1>li1</li><li data-n=2>li2</li></ul><div id=empty></div><i>a &lt; b</i>"
)

FOUND = {
    "document.querySelector('#a').outerText": "One two\n\nthree\nfour\n\nLOUD",
    "document.querySelector('#a').textContent": "One  twothreefourneverloud",
    "document.querySelector('.no').outerText": "never",
    "document.querySelector('table').innerText": "1\t2\n3\t4",
    "document.querySelector('pre').outerText": "k  e\n p",
    "document.querySelector('[name=\"q\"').value": "start",
    "document.querySelector('textarea').value": "area",
    "document.querySelector('select').value": "2",
    "document.querySelector('select').selectedIndex": "1",
    "document.querySelector('[name=c]').checked.toString()": "true",
    "document.querySelector('[name=c]').checked": "True",
    "document.querySelector('#a').value": "None",
    "document.querySelector('#none')": "None",
    "document.querySelector('a').getAttribute('href')": "/x?y=1",
    "document.querySelector('a').getAttribute('rel')": "None",
    "document.querySelectorAll('li')[1].outerText": "li2",
    "document.querySelectorAll('li').length": "2",
    "document.querySelector('ul').lastElementChild.outerText": "li2",
    "document.querySelector('ul').firstElementChild.nextElementSibling.getAttribute('data-n')": "2",
    "document.getElementById('a').querySelector('p').outerText.substring(0, 3)": "One",
    "document.querySelector('#empty').outerText": "",
    "document.querySelector('#a').className": "x y",
    "document.querySelector('i').outerText + (document.querySelector('#zz')?.outerText || '')": "a < b",
    "[...document.querySelectorAll('li')].map(elem => elem.getAttribute('q') || elem.getAttribute('data-n')).join(' ')": "1 2",
    "[...document.querySelectorAll('li')].filter(x => x.outerText.includes('2'))[0].textContent": "li2",
    "document.querySelector('a').textContent.toLocaleLowerCase().toUpperCase()": "LINK",
    "document.querySelector('li').parentElement.tagName": "UL",
    "document.querySelectorAll('li')[7] === undefined ? 'no' : 'yes'": "no",
    "parseFloat('12.50 each') + 1": "13.5",
    "document.title": "T",
}  # fmt: skip
THROWING = (
    "document.querySelector('#none').outerText",
    "document.querySelectorAll('li')[9].outerText",
    "document.querySelector('a').outerText.trim().nothing().join",
)


@pytest.fixture(scope="module")
def dom():
    return PageDom(browser_on({"/": PAGE})[0].page)


@pytest.mark.parametrize("locator", FOUND)
def test_finds(dom, locator):
    assert as_python_text(evaluate(parse(locator), dom)) == FOUND[locator]


def test_chromium_finds_the_same(chromium):
    """Against the real thing: the browser evaluates the same expressions."""
    from agentgym.tools.browser.scripted import ScriptedBrowser

    browser, _ = browser_on({"/": PAGE}, ScriptedBrowser, scripts=True)
    try:
        live = PageDom(browser.page)
        for locator, expected in FOUND.items():
            assert str(browser.call(f"() => {locator}")) == expected, locator
            assert as_python_text(evaluate(parse(locator), live)) == expected, locator
        for selector in ("div", ".submission__inner", "#main", "tr", "td"):
            assert browser.call(f"() => document.querySelectorAll('{selector}').length") == len(live.select(selector))
    finally:
        browser.close()


@pytest.mark.parametrize("page", [FORUM, PRODUCT])
def test_rendered_text_is_chromiums(chromium, page):
    from agentgym.tools.browser.scripted import ScriptedBrowser

    browser, _ = browser_on({"/": page}, ScriptedBrowser, scripts=True)
    try:
        text_dom = PageDom(browser_on({"/": page})[0].page)
        live = PageDom(browser.page)
        wanted = browser.call("() => [...document.body.querySelectorAll('*')].map(e => e.outerText)")
        for dom in (live, text_dom):
            body = dom.select("body")[0]
            found = [dom.text(element) for element in body.descendants()]
            assert [text.split() for text in found] == [text.split() for text in wanted]
    finally:
        browser.close()


@pytest.mark.parametrize("locator", THROWING[:2])
def test_what_isnt_there_fails(dom, locator):
    with pytest.raises(Failed):
        evaluate(parse(locator), dom)


def test_a_bad_selector_fails(dom):
    with pytest.raises(Failed):
        evaluate(parse("document.querySelector('p[[').outerText"), dom)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lambda:(() => { try { return document.querySelector('#a p').textContent } catch (e) { return '' }})()", "One  two"),
        ("lambda:(() => { try { return document.querySelector('#zz').textContent } catch { return 'none' } })()", "none"),
        ("lambda:(() => { res = parseFloat(document.querySelector('td').outerText); return res ? res : 0; })()", 1),
        ("lambda:(() => {try {return Array.from(document.querySelectorAll('li')).find(el => el.textContent.includes('2'))"
         ".querySelector('b').textContent.trim()} catch (e) {return ''}})()", ""),
    ],
)  # fmt: skip
def test_lambdas(dom, text, value):
    assert evaluate(parse(text), dom) == value


@pytest.mark.parametrize(
    "text",
    [
        "document.cookie",
        "document.location.href",
        "window.alert(1)",
        "fetch('http://x')",
        "eval('1')",
        "document.querySelector('a').click()",
        "document.querySelector('a').remove()",
        "document.querySelector('a').constructor.constructor('return 1')()",
        "document['defaultView']()",
        "document.write('x')",
        "(function(){return 1})()",
        "`${document.title}`",
        "document.querySelector('a').innerHTML = 'x'",
        "x => x.y; alert(1)",
        "document.querySelector('a'",
        "import('x')",
        "(" * 200 + "1" + ")" * 200,
        "'" + "a" * 5000 + "'",
        "",
    ],
)
def test_everything_else_is_refused(text):
    with pytest.raises(NotALocator):
        parse(text)


def test_clicks_are_read_apart():
    click = "document.querySelector('[data-index=\"actions\"]').querySelector('.title').click()"
    assert parse_click(click).kind == "call"
    for text in ("document.forms[0].submit()", "document.querySelector('a').remove()", "alert(1).click()"):
        with pytest.raises(NotALocator):
            parse_click(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(NotALocator):
        parse(text)


@given(st.lists(st.sampled_from(["document", ".querySelector('p')", ".outerText", "[0]", "?.", "(", ")", "+", "||", "x",
                                 "=>", "'a'", "1", ".map(", ",", "[", "]", "..."]), max_size=14))  # fmt: skip
def test_any_expression_ends(parts):
    dom = PageDom(browser_on({"/": "<p>x</p>"})[0].page)
    with contextlib.suppress(NotALocator, Failed):
        evaluate(parse("".join(parts)), dom)


def test_long_loops_end():
    dom = PageDom(browser_on({"/": "<i>x</i>" * 700})[0].page)
    loop = "[...document.querySelectorAll('i')].map(a => [...document.querySelectorAll('i')].map(b => b.id).length)"
    with pytest.raises(Failed, match="too long"):
        evaluate(parse(loop), dom)


def test_typed_values_are_read():
    browser, _ = browser_on({"/": PAGE})
    for reference, value in (("a1", "typed"), ("a2", "more")):
        browser.do("fill", {"bid": reference, "value": value})
    browser.do("select_option", {"bid": "a3", "options": "one"})
    dom = PageDom(browser.page)
    values = [evaluate(parse(f"document.querySelector('{tag}').value"), dom) for tag in ("input", "textarea", "select")]
    assert values == ["typed", "more", "1"]
