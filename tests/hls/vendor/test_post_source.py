"""Reading the C++ that HeteroCL prints: its structure, its names, and how wide its expressions are."""

from __future__ import annotations

import pytest
from post_texts import TEXTS

from hls.vendor import VendorError
from hls.vendor.lookup import Text
from hls.vendor.source import parse
from hls.vendor.syntax import Assignment, Declaration, Integer
from hls.vendor.tokens import tokenise


def _body(statements: str) -> str:
    return f"void f(hls::stream<ap_int<9>> &s, const ap_uint<7> a[4], ap_int<20> out[4]) {{\n{statements}\n}}\n"


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_lost_between_tokens(name: str) -> None:
    text, position = TEXTS[name], 0
    for token in tokenise(text):
        between = text[position : token.start].strip()
        assert not between or between.startswith(("//", "/*"))
        assert text[token.start : token.end] == token.text
        position = token.end
    assert position == len(text)


@pytest.mark.parametrize("values", ["{{1, -2}, {3LL, 4}}", "{\n  {0xffLL, -1},\n  {(-0x7fffffffffffffffLL - 1), 2}\n}"])
def test_values_of_arrays_are_skipped(values: str) -> None:
    text = f"static const ap_int<64> w[2][2] = {values};\n" + _body("out[0] = w[1][0];")
    (array,) = parse(text).globals
    assert array.values is not None and text[slice(*array.values)] == values
    with pytest.raises(VendorError, match=r"line \d: a number expected, found 'n'"):
        parse(text.replace("2}", "n}", 1))


def test_structure_of_v05_text() -> None:
    unit = parse(TEXTS["v05"])
    assert [f.name for f in unit.functions] == ["Stage_load", "Stage_conv", "Stage_store", "top"]
    assert [(g.name, g.shape, g.constant) for g in unit.globals] == [
        ("conv_w", (2, 4), True),
        ("conv_mul", (2,), True),
        ("conv_table", (2, 4), True),
    ]
    conv = unit.functions[1]
    assert [(p.name, p.type.element, p.type.stream) for p in conv.parameters] == [
        ("v4", Integer(True, 18), True),
        ("v5", Integer(True, 64), True),
    ]
    assert [loop.label for loop in conv.loops] == ["l_conv_row_0", "l_c", "l_og", "l_s", "l_t"]


@pytest.mark.parametrize("name", TEXTS)
def test_the_programs_names_lead_to_both_texts(name: str) -> None:
    text = Text.of(TEXTS[name])
    conv = text.function("conv")
    assert [text.loop(conv, loop).variable for loop in ("row", "og", "s")] == [
        "row" if name == "ours" else "row_0",
        "og",
        "s",
    ]
    assert text.top.name == ("net" if name == "ours" else "top")
    assert text.port("y", ("x", "y")).name == ("y" if name == "ours" else "v45")


EXPRESSIONS = {
    "a[1]": Integer(False, 7),
    "s.read()": Integer(True, 9),
    "ap_int<20>(a[1])": Integer(False, 7),
    "(ap_int<20>)a[1]": Integer(False, 7),
    "ap_int<3>(a[1])": Integer(True, 3),
    "ap_int<7>(a[1])": Integer(True, 7),
    "ap_uint<20>(s.read())": Integer(False, 20),
    "a[1] + a[2]": Integer(False, 8),
    "a[1] - a[2]": Integer(True, 8),
    "a[1] * s.read()": Integer(True, 16),
    "(s.read() >> 3) & 31": Integer(False, 5),
    "ap_uint<6>((a[0] >> 5) & 31)": Integer(False, 5),
    "a[1] << 3": Integer(False, 7),
    "-5": Integer(True, 4),
    "a[0] > 3 ? -1 : 0": Integer(True, 2),
    "a[0] > a[1] && a[2] >= 0": Integer(False, 1),
    "copied": Integer(False, 7),
    "reassigned": Integer(True, 20),
    "set_later": Integer(True, 9),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_widths(expression: str) -> None:
    before = (
        "ap_int<20> copied = a[0];\nap_int<20> reassigned = a[0];\nreassigned = reassigned + 1;\n"
        "ap_int<20> set_later;\nset_later = s.read();\n"
    )
    text = Text.of(_body(f"{before}out[0] = {expression};"))
    last = text.unit.functions[0].body.statements[-1]
    assert isinstance(last, Assignment)
    assert text.widths.values(last.value) == EXPRESSIONS[expression]


def test_a_name_means_the_variable_of_its_own_block() -> None:
    first = "for (int i = 0; i < 4; ++i) {\nap_int<5> v = 1;\nout[i] = v;\n}"
    text = Text.of(_body(f"{first}\n{first.replace('5', '12').replace('= 1', '= s.read()')}\n"))
    assigned = [s for s in text.unit.functions[0].walk() if isinstance(s, Assignment)]
    assert [text.widths.type(s.value) for s in assigned] == [Integer(True, 5), Integer(True, 12)]


def test_an_array_of_one_element_has_no_brackets() -> None:
    (declaration,) = (s for s in parse(_body("ap_int<5> v;")).functions[0].walk() if isinstance(s, Declaration))
    assert (declaration.name, declaration.shape, declaration.initial) == ("v", (), None)


REFUSED = {
    "while (true) { }": "';' expected, found '{'",
    "for (int i = 0; i < 4; ++i) out[i] = 1;": "'{' expected, found 'out'",
    "if (a[0] > 1) out[0] = 1;": "'{' expected, found 'out'",
    "union { float from; int to; } c;": "';' expected, found '{'",
    "float x = 1.5f * ;": "an expression expected, found ';'",
    "auto x = a[0];": "';' expected, found 'x'",
    "out[n] = @;": "'@' is no part of the C++ that HeteroCL prints",
    "x(3, 0) = a[0];": "a variable or an element before the assignment expected",
    "out[0] = a[0]": "';' expected, found '}'",
    "int table[2] = {first, second};": "a number expected, found 'first'",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_no_printer_emits_is_refused_with_its_line(statement: str) -> None:
    with pytest.raises(VendorError) as error:
        parse(_body(f"\n\n{statement}"))
    assert REFUSED[statement] in str(error.value)
    assert str(error.value).startswith(("line 4: ", "line 5: "))


def test_a_text_without_functions_is_refused() -> None:
    with pytest.raises(VendorError, match="a function expected, found the end of the text"):
        parse("#include <ap_int.h>\n")
