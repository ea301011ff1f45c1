"""Writing a graph for people: equations in Unicode or LaTeX, and a Graphviz drawing.

One table an alphabet, one line an op. A value that is used more than once and has no
name of its own gets one, so that what is written never outgrows the graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from cellwright.ir.graph import Graph
from cellwright.ir.node import Node

__all__ = ["spell", "to_dot", "to_latex", "to_text"]

# How tightly an operation binds; a looser one inside a tighter one needs brackets.
_TRUTH, _SUM, _REMAINDER, _PRODUCT, _SIGN, _ATOM = range(6)


@dataclass(frozen=True)
class _Alphabet:
    """How one notation spells things.

    `spell` maps an op to a template and its binding, `words` what authors say for several ops.
    """

    spell: dict[str, tuple[str, int]]
    now: str
    before: str
    below: str
    later: str
    outside: str
    group: str
    matrix: str
    bias: str
    scale: str
    symbol: Callable[[str], str]
    line: str
    draw: str
    once: str
    join: str
    power: str
    infinity: str
    words: dict[str, tuple[str, int]]


_SHARED: dict[str, tuple[str, int]] = {
    "add": ("{0} + {1}", _SUM),
    "sub": ("{0} - {1}", _SUM),
    "less": ("{0} < {1}", _TRUTH),
    "equal": ("{0} = {1}", _TRUTH),
    "neg": ("-{0}", _SIGN),
}

_UNICODE = _Alphabet(
    spell=_SHARED
    | {
        "sub": ("{0} − {1}", _SUM),
        "neg": ("−{0}", _SIGN),
        "mul": ("{0} ⊙ {1}", _PRODUCT),
        "div": ("{0} / {1}", _PRODUCT),
        "matmul": ("{0} {1}", _PRODUCT),
        "matmul_transposed": ("{0}ᵀ {1}", _PRODUCT),
        "less_equal": ("{0} ≤ {1}", _TRUTH),
        "abs": ("|{0}|", _ATOM),
        "floor": ("⌊{0}⌋", _ATOM),
        "sigmoid": ("σ({0})", _ATOM),
        "sqrt": ("√({0})", _ATOM),
        "maximum": ("max({0}, {1})", _ATOM),
        "minimum": ("min({0}, {1})", _ATOM),
        "where": ("({1} if {0} else {2})", _ATOM),
        "sum": ("Σ({0})", _ATOM),
        "max": ("max({0})", _ATOM),
        **{f: (f"{f}({{0}})", _ATOM) for f in ("exp", "log", "log1p", "sin", "cos", "sign")},
        **{f: (f"{f}({{0}})", _ATOM) for f in ("tanh", "relu")},
    },
    now="{0}ₜ",
    before="{0}ₜ₋₁",
    below="{0}ₜ↓",
    later="δ{0}ₜ←",
    outside="δ{0}ₜ",
    group="({0})",
    matrix="W_{0}",
    bias="b_{0}",
    scale="w_{0}",
    symbol=str,
    line="{0} = {1}",
    draw="{0} ~ Bernoulli({1})",
    once=", once a sequence",
    join="\n",
    power="{2}",
    infinity="inf",
    words={"mean": ("mean({0})", _ATOM), "remainder": ("{0} mod {1}", _REMAINDER)},
)


def _latex_symbol(name: str) -> str:
    plain = name.isdigit() or (len(name) == 1 and name != "_")
    return name if plain else rf"\mathit{{{name}}}".replace("_", r"\_")


_LATEX = _Alphabet(
    spell=_SHARED
    | {
        "mul": (r"{0} \odot {1}", _PRODUCT),
        "div": (r"\frac{{{0}}}{{{1}}}", _ATOM),
        "matmul": (r"{0}\,{1}", _PRODUCT),
        "matmul_transposed": (r"{0}^{{\top}}\,{1}", _PRODUCT),
        "less_equal": (r"{0} \le {1}", _TRUTH),
        "abs": (r"\left|{0}\right|", _ATOM),
        "floor": (r"\left\lfloor {0} \right\rfloor", _ATOM),
        "sigmoid": (r"\sigma\left({0}\right)", _ATOM),
        "sqrt": (r"\sqrt{{{0}}}", _ATOM),
        "maximum": (r"\max\left({0}, {1}\right)", _ATOM),
        "minimum": (r"\min\left({0}, {1}\right)", _ATOM),
        "where": (
            r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
            _ATOM,
        ),
        "sum": (r"\textstyle\sum\left({0}\right)", _ATOM),
        "max": (r"\max\left({0}\right)", _ATOM),
        **{f: (rf"\{f}\left({{0}}\right)", _ATOM) for f in ("exp", "log", "sin", "cos", "tanh")},
        **{
            f: (rf"\operatorname{{{{{f}}}}}\left({{0}}\right)", _ATOM)
            for f in ("log1p", "sign", "relu")
        },
    },
    now="{0}_{{t}}",
    before="{0}_{{t-1}}",
    below=r"{0}_{{t}}^{{\downarrow}}",
    later=r"\delta {0}_{{t}}^{{\leftarrow}}",
    outside=r"\delta {0}_{{t}}",
    group=r"\left({0}\right)",
    matrix="W_{{{0}}}",
    bias="b_{{{0}}}",
    scale="w_{{{0}}}",
    symbol=_latex_symbol,
    line="{0} &= {1}",
    draw=r"{0} &\sim \operatorname{{Bernoulli}}\left({1}\right)",
    once=r",\ \text{once a sequence}",
    join=" \\\\\n",
    power=r"{0}10^{{{1}}}",
    infinity=r"\infty",
    words={
        "mean": (r"\operatorname{{mean}}\left({0}\right)", _ATOM),
        "remainder": (r"{0} \bmod {1}", _REMAINDER),
    },
)


def to_text(graph: Graph) -> str:
    """Return the equations in Unicode, a line a signal, in the author's order.

    ``hₜ₋₁`` is a state before the step, ``W_ix`` the matrix of ``affine("i", x)``, ``b_i``
    its bias, ``⊙`` multiplies unit by unit; ``keepₜ ~ Bernoulli(0.9)`` is drawn. ``δhₜ`` is a
    gradient that the caller gives and ``δhₜ←`` one that comes back from the steps after this one.
    """
    return _equations(graph, _UNICODE)


def spell(graph: Graph) -> dict[Node, str]:
    """How each value is written in Unicode inside the equations of `to_text`."""
    return {value: text for value, (text, _) in _Writer(graph, _UNICODE).written.items()}


def to_latex(graph: Graph) -> str:
    """Return the equations in LaTeX, as the body of an ``aligned`` environment."""
    return _equations(graph, _LATEX)


def to_dot(graph: Graph) -> str:
    """Return the graph as Graphviz source: states and inputs on top, new states below."""
    index = {value: position for position, value in enumerate(graph.nodes)}
    label = {value: name for name, value in graph.signals}
    lines = [f'digraph "{graph.name}" {{', "  node [shape=box, style=rounded];"]
    for value, position in index.items():
        text = value.op + (f" {value.attributes['name']}" if "name" in value.attributes else "")
        if value.op == "constant":
            text = f"{value.attributes['value']:g}"
        if value in label:
            text = f"{label[value]} = {text}"
        lines.append(f'  n{position} [label="{text}"];')
        lines += [f"  n{index[source]} -> n{position};" for source in value.inputs]
    for name, value in graph.after.items():
        lines.append(f'  "{name} after" [shape=ellipse]; n{index[value]} -> "{name} after";')
    return "\n".join([*lines, "}"])


def _equations(graph: Graph, alphabet: _Alphabet) -> str:
    return alphabet.join.join(_Writer(graph, alphabet).lines)


def _called(graph: Graph) -> dict[str, str]:
    """Signal -> what it is called in the equations, where no two things are called the same."""
    drawn = graph.leaves("bernoulli")
    # A state's name means the state after the step, that of an input or a draw what is given.
    meant = {leaf.name: leaf for leaf in (*graph.inputs, *drawn)} | graph.after
    taken = {*meant}
    called = {}
    for name, value in graph.signals:
        free_name = name
        while free_name in taken and meant.get(free_name) is not value:
            free_name += "'"
        taken.add(free_name)
        called[name] = free_name
    return called


def _names(graph: Graph, called: Mapping[str, str]) -> dict[Node, str]:
    """Name of each value that gets a line of its own, no two the same."""
    named: dict[Node, str] = {}
    signals = ((called[name], value) for name, value in graph.signals)
    for name, value in (*graph.after.items(), *signals):
        if value.inputs:
            named.setdefault(value, name)
    leaves = (*graph.inputs, *graph.states, *graph.leaves("bernoulli"))
    taken = {leaf.name for leaf in leaves} | set(called.values())
    free = (name for name in map("u{}".format, count(1)) if name not in taken)
    uses = Counter(source for value in graph.nodes for source in value.inputs)
    for value in graph.nodes:
        if value.inputs and uses[value] > 1 and value not in named and value.op != "neg":
            named[value] = next(free)
    return named


def _split_names(graph: Graph) -> dict[Node, tuple[str, str]]:
    """Matrix -> the two names that its own is made of: the gate's and that of what it reads."""
    known = [(leaf.name, leaf) for leaf in (*graph.inputs, *graph.states)]
    known += [(f"{leaf.name}_below", leaf) for leaf in graph.leaves("below")]
    known += graph.signals
    found: dict[Node, tuple[str, str]] = {}
    for matrix, read in (value.inputs for value in graph.nodes if value.kind == "product"):
        own = [name for name, value in known if value is read and matrix.name.endswith(f"_{name}")]
        # What has no name goes by its position.
        second = max(own, key=len) if own else matrix.name.rpartition("_")[2] or matrix.name
        if own or matrix not in found:
            found[matrix] = matrix.name.removesuffix(second).removesuffix("_"), second
    return found


class _Writer:
    def __init__(self, graph: Graph, alphabet: _Alphabet) -> None:
        self.alphabet = alphabet
        called = _called(graph)
        self.named = _names(graph, called)
        self.split = _split_names(graph)
        self.biases = {v.name for v in graph.nodes if v.attributes.get("role") == "bias"}
        self.lines: list[str] = []
        self.defined: set[str] = set()
        self.written: dict[Node, tuple[str, int]] = {}
        for value in graph.nodes:
            self.written[value] = self._write(value)
        # A second name of a value, and a state that another name became.
        signals = ((called[name], value) for name, value in graph.signals)
        for name, value in (*signals, *graph.after.items()):
            left, right = self._now(name), self.written[value][0]
            if left != right and left not in self.defined:
                self._define(left, right)

    def _now(self, name: str) -> str:
        return self.alphabet.now.format(self.alphabet.symbol(name))

    def _define(self, left: str, right: str) -> None:
        self.defined.add(left)
        self.lines.append(self.alphabet.line.format(left, right))

    def _write(self, value: Node) -> tuple[str, int]:
        text, binding = self._operation(value) if value.inputs else self._leaf(value)
        if value.op == "bernoulli":
            probability, _ = self._number(value.attributes["probability"])
            once = self.alphabet.once if value.attributes["per"] == "sequence" else ""
            self.lines.append(self.alphabet.draw.format(text, probability) + once)
        if value not in self.named:
            return text, binding
        left = self._now(self.named[value])
        if binding == _TRUTH:  # a comparison may hold a second sign of equality
            text = self.alphabet.group.format(text)
        self._define(left, text)
        return left, _ATOM

    def _operation(self, value: Node) -> tuple[str, int]:
        op, inputs = self._word(value)
        template, binding = self.alphabet.words.get(op) or self.alphabet.spell[op]
        parts = []
        for position, source in enumerate(inputs):
            text, inner = self.written[source]
            loosest = binding
            if op == "remainder" or value.kind == "product":
                # Beside `mod` nobody knows what binds; beside a matrix a sign is a difference.
                loosest = _ATOM
            elif op in ("sub", "div") and position == 1:
                loosest = binding + 1
            bracketed = binding != _ATOM and inner < loosest
            parts.append(self.alphabet.group.format(text) if bracketed else text)
        return template.format(*parts), binding

    def _word(self, value: Node) -> tuple[str, tuple[Node, ...]]:
        """An op and its inputs, or the word that authors have for several ops at once."""
        inputs = value.inputs
        if value.op == "div" and inputs[1].op == "count" and inputs[0].op == "sum":
            if inputs[0] not in self.named:
                return "mean", inputs[0].inputs
        elif value.op == "sub" and inputs[1].op == "mul" and inputs[1] not in self.named:
            divisor, whole = inputs[1].inputs
            of = whole.inputs[0] if whole.op == "floor" and whole not in self.named else None
            if of is not None and of.op == "div" and of.inputs == (inputs[0], divisor):
                return "remainder", (inputs[0], divisor)
        return value.op, inputs

    def _leaf(self, value: Node) -> tuple[str, int]:
        a = self.alphabet
        if value.op == "constant":
            return self._number(value.attributes["value"])
        if value.op == "step":
            return "t", _ATOM
        if value.op == "count":
            return f"|{a.symbol(str(value.attributes['of']))}|", _ATOM
        if value.op == "per_unit":
            values = value.attributes["values"]
            assert isinstance(values, tuple)
            shown = [self._number(number)[0] for number in values[:8]] + ["…"] * (len(values) > 8)
            return "[" + ", ".join(shown) + "]", _ATOM
        if value.op == "matrix":
            return a.matrix.format(self._subscript(*self.split[value])), _ATOM
        if value.op == "vector":
            if value.attributes["role"] == "bias":
                gate = value.name.removesuffix("_bias")
                name = value.name if gate in self.biases else gate
                return a.bias.format(self._subscript(name)), _ATOM
            return a.scale.format(self._subscript(value.name)), _ATOM
        forms = {"state": a.before, "below": a.below, "later": a.later, "outside": a.outside}
        form = forms.get(str(value.attributes.get("origin", value.op)), a.now)
        return form.format(a.symbol(value.name)), _ATOM

    def _number(self, value: object) -> tuple[str, int]:
        a = self.alphabet
        number = f"{value:.12g}"
        digits, _, power = number.partition("e")
        binding = _SIGN if number.startswith("-") else _ATOM
        if power:
            times = {"1": "", "-1": "-"}.get(digits, rf"{digits} \cdot ")
            number = a.power.format(times, int(power), number)
            if r"\cdot" in number:
                binding = _PRODUCT
        return number.replace("inf", a.infinity), binding

    def _subscript(self, *names: str) -> str:
        kept = [name for name in names if name]
        if all(len(name) == 1 for name in kept):
            return "".join(kept)
        return ",".join(self.alphabet.symbol(name) for name in kept)
