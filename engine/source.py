"""Writes the Python source of an operation: a function for every position of the answer.

`cN(v, p, k, S)` completes the value `v` of position N at the path `(p, k)` in the run `S`: it returns what takes the
place in the answer, or raises Bubble. `fN(bucket, values, S)` puts loaded values into their places, and `rN(x, d, S)`
executes root fields. Values of the expected class are taken as they are; everything else is handed to the run. Objects
are completed inside the loop of their list, and objects with nothing but leaves where they stand: a call of a function
costs as much as three fields.
"""

from graphql import default_field_resolver, is_enum_type, is_leaf_type

from engine.names import EXPECTED, Names, expected, indented
from engine.plans import Attribute, Call, Compute, Item, Load
from engine.positions import Field, Position, Tree
from engine.reading import (
    callables,
    dictionary,
    guarded,
    is_default,
    is_flat,
    is_read,
    read_expression,
    reads,
    value_of,
)


class Source:
    """The source of one tree's functions, and the names that they use."""

    def __init__(self, tree: Tree, *, serial: bool, exact_classes: dict[int, type]) -> None:
        self.names = Names()
        self.loads: list[tuple[Field, Load]] = []
        self._exact_classes = exact_classes
        self._load_numbers: dict[Field, int] = {}
        for field in tree.fields:
            if isinstance(field.plan, Load):
                self._load_numbers[field] = len(self.loads)
                self.loads.append((field, field.plan))
        groups = [[field] for field in tree.root] if serial else [tree.root]
        self.roots = [f"r{number}" for number in range(len(groups))]
        lines = [line for position in tree.positions for line in self._function(position)]
        for position in tree.positions:
            lines += [] if position.kept is None else self._template(position)
        for name, fields in zip(self.roots, groups, strict=True):
            lines += self._root(name, fields)
        for number, (field, load) in enumerate(self.loads):
            lines += self._fill(number, field, load)
        self.text = "\n".join(lines) + "\n"

    # Functions

    def _function(self, position: Position) -> list[str]:
        head = f"def c{position.number}(v, p, k, S):"
        if position.item is not None:
            body = self._list(position, position.item)
        elif position.variants:
            body = [f"return S.abstract({self.names.position(position)}, v, p, k)"]
        elif not is_leaf_type(position.type):
            head = f"def c{position.number}(v, p, k, S, checked=False):"
            body = [
                *self._nullable(position, self._object(position, "v", "p", "k", "not checked and "), "p", "k", "v"),
                "return v",
            ]
        elif position.type in EXPECTED or is_enum_type(position.type):
            body = [*self._complete(position, "v", "p", "k"), "return v"]
        else:
            body = self._scalar(position)
        return [head, *indented(body), ""]

    def _list(self, position: Position, item: Position) -> list[str]:
        is_inline = not is_leaf_type(item.type) and not item.variants and item.item is None
        complete = (
            self._nullable(item, self._object(item, "x", "q", "len(r)"), "q", "len(r)", "x")
            if is_inline
            else self._complete(item, "x", "q", "len(r)")
        )
        body = ["q = (p, k)", "r = []", "for x in v:", *indented(complete), "    r.append(x)"]
        if not item.nullable:
            drop = "    close(v[len(r) + 1:])"
            body = [*body[:2], "try:", *indented(body[2:]), "except Bubble:", drop, "    raise"]
        test = [
            "if type(v) is not list and type(v) is not tuple:",
            f"    return S.list({self.names.position(position)}, v, p, k)",
        ]
        if not position.nullable:
            return [*test, *body, "return r"]
        return [*test, *self._nullable(position, body, "p", "k", "r"), "return r"]

    def _scalar(self, position: Position) -> list[str]:
        """A scalar of the schema's own: values of classes seen before are given to its function at once."""
        known = self.names.of("T", position.number, position.known)
        serialize = self.names.of("K", position.number, position.type.coerce_output_value)
        p = self.names.position(position)
        return [
            f"if type(v) in {known}:",
            "    try:",
            f"        r = {serialize}(v)",
            "    except Exception as e:",
            f"        return S.fail({p}, e, p, k)",
            "    if r is not None and r is not Undefined:",
            "        return r",
            f"return S.scalar({p}, v, p, k)",
        ]

    def _root(self, name: str, fields: list[Field]) -> list[str]:
        lines, after = self._fields(fields, "x", "None", "d", known=None)
        places = [f"d[{field.key!r}] = {value_of(field)}" for field in fields]
        return [f"def {name}(x, d, S):", *(indented([*lines, *places, *after]) or ["    pass"]), ""]

    def _fill(self, number: int, field: Field, load: Load) -> list[str]:
        """Puts the values of a batch into their places."""
        position, read = field.value, []
        if load.read is not None:
            function = self.names.of("N", field.number, load.read)
            read = [
                "if not isinstance(v, Exception):",
                "    try:",
                f"        v = {function}(v)",
                "    except Exception as e:",
                "        v = e",
            ]
        complete = [*read, *self._complete(position, "v", "q", repr(field.key)), f"d[{field.key!r}] = v"]
        if not position.nullable:
            bubble = f"    S.bubble(e, {self.names.position(position)}, q)"
            complete = ["try:", *indented(complete), "except Bubble as e:", bubble]
            complete += ["    is_whole = False"]
        return [
            f"def f{number}(bucket, values, S):",
            "    is_whole = not S.nulled",
            "    for (_, d, q), v in zip(bucket, values):",
            "        if is_whole or S.container(q) is d:",
            *indented(complete, 3),
            "",
        ]

    # Statements

    def _complete(self, position: Position, v: str, parent: str, key: str) -> list[str]:
        """Completes the value of a variable, in place."""
        given = f"{self.names.position(position)}, {v}, {parent}, {key}"
        if position.type in EXPECTED:
            return [f"if not {expected(position, v)}:", f"    {v} = S.leaf({given})"]
        if is_enum_type(position.type):
            known = self.names.of("T", position.number, position.known)
            enum_names = self.names.of("E", position.number, position.enum_names)
            return [f"{v} = {enum_names}[{v}] if type({v}) in {known} and {v} in {enum_names} else S.enum({given})"]
        if is_flat(position):
            return self._nullable(position, self._object(position, v, parent, key), parent, key, v)
        return [f"{v} = c{position.number}({v}, {parent}, {key}, S)"]

    def _nullable(self, position: Position, lines: list[str], parent: str, key: str, v: str) -> list[str]:
        """Makes a variable null for an error of what may not be null below, where null may be."""
        if not position.nullable:
            return lines
        caught = f"    {v} = S.caught(e, {self.names.position(position)}, {parent}, {key})"
        return ["try:", *indented(lines), "except Bubble as e:", caught]

    def _object(self, position: Position, v: str, parent: str, key: str, condition: str = "") -> list[str]:
        """Completes the object of a variable, in place."""
        number, exact = position.number, self._exact_classes.get(position.number)
        if exact is None:
            classes, is_of, is_not_of = self.names.of("O", number, position.known), "in", "not in"
        else:
            classes, is_of, is_not_of = self.names.of("C", number, exact), "is", "is not"
        known, path, d = f"type({v}) {is_of} {classes}", f"({parent}, {key})", f"d{number}"
        link = path if is_flat(position) else f"q{number}"
        if position.kept is not None:
            lines = self._kept(position, v, link, known)
        else:
            lines, after = self._fields(position.fields, v, link, d, known=known)
            answer = dictionary(position.fields, position.fields)
            lines += [f"{d} = {answer}", *after, f"{v} = {d}"] if after else [f"{v} = {answer}"]
        if link != path:
            lines.insert(0, f"{link} = {path}")
        return [
            f"if {condition}type({v}) {is_not_of} {classes}:",
            f"    {v} = S.object({self.names.position(position)}, {v}, {parent}, {key})",
            "else:",
            *indented(lines),
        ]

    def _kept(self, position: Position, v: str, link: str, known: str) -> list[str]:
        """Takes the fields that last from what is kept of the object, or completes them too; then the others."""
        number, lasting = position.number, position.lasting
        kept, h, d = self.names.of("H", number, position.kept.entries.get), f"h{number}", f"d{number}"
        others = [field for field in position.fields if field not in lasting]
        new, _ = self._fields([*filter(lasting.__contains__, position.fields)], v, link, d, known=known)
        lines, after = self._fields(others, v, link, d, known=known)
        return [
            f"{h} = {kept}(id({v}))",
            f"if {h} is not None and {h}[0] is {v} and {h}[1]:",
            f"    {d} = {h}[1]{'.copy()' if others else ''}",
            "else:",
            f"    S.meet({self.names.position(position)}, {v})",
            *indented([*new, f"{d} = {dictionary(position.fields, lasting)}"]),
            *lines,
            *(f"{d}[{field.key!r}] = {value_of(field)}" for field in others),
            *after,
            f"{v} = {d}",
        ]

    def _template(self, position: Position) -> list[str]:
        """The function that makes what is kept of an object: its dictionary, with null for what does not last."""
        lasting = [field for field in position.fields if field in position.lasting]
        lines, _ = self._fields(lasting, "v", "q", "d", known=None)
        head = f"def t{position.number}(v, p, k, S):"
        body = ["q = (p, k)", *lines, f"return {dictionary(position.fields, lasting)}"]
        return [head, *indented(body), ""]

    # Fields

    def _fields(
        self, fields: list[Field], source: str, link: str, d: str, *, known: str | None
    ) -> tuple[list[str], list[str]]:
        """Statements that make the values of fields, and those that follow when their dictionary is there."""
        after: list[str] = []
        lines: list[str] = []
        for field in fields:
            if isinstance(field.plan, Load):
                lines += self._load(field, field.plan, source, link)
                after += [
                    f"if k{field.number} is not None:",
                    f"    S.buckets[{self._load_numbers[field]}].append((k{field.number}, {d}, {link}))",
                ]
            elif is_read(field):
                lines += [*callables(self.names, field, link), *self._complete_read(field, link)]
            elif not field.is_typename:
                lines += self._call(field, source, link)
                after += [f"if w{field.number} is not None:", f"    w{field.number}.container = {d}"]
        read = reads(self.names, [field for field in fields if is_read(field)], source, known=known)
        return [*read, *guarded(fields, lines)], after

    def _complete_read(self, field: Field, link: str) -> list[str]:
        lines = self._complete(field.value, f"a{field.number}", link, repr(field.key))
        if is_default(field) and is_leaf_type(field.value.type):
            return [line.replace("S.leaf(", "S.default_leaf(").replace("S.enum(", "S.default_enum(") for line in lines]
        return lines

    def _call(self, field: Field, source: str, link: str) -> list[str]:
        a, w, key = f"a{field.number}", f"w{field.number}", repr(field.key)
        return [
            f"{w} = None",
            "try:",
            *indented(self._invocation(field, source, link)),
            "except Exception as e:",
            f"    {a} = e",
            f"if type({a}) in AWAITABLES:",
            f"    {w} = S.wait({a}, {self.names.position(field.value)}, {link}, {key})",
            f"    {a} = None",
            "else:",
            *indented(self._complete(field.value, a, link, key)),
        ]

    def _invocation(self, field: Field, source: str, link: str) -> list[str]:
        a, f, plan = f"a{field.number}", self.names.field(field), field.plan
        if isinstance(plan, Attribute | Item | Compute):
            return [f"S.arguments({f})", f"{a} = {read_expression(self.names, field, plan, source)}"]
        has_arguments = bool(field.definition.args or any(node.arguments for node in field.nodes))
        arguments = [f"**S.arguments({f})"] if has_arguments else []
        info = f"Info(S, {f}, {link})"
        if not isinstance(plan, Call):
            resolve = self.names.of("R", field.number, field.definition.resolve or default_field_resolver)
            return [f"{a} = {resolve}({', '.join([source, info, *arguments])})"]
        if plan.make_info is not None:
            info = f"{self.names.of('I', field.number, plan.make_info)}({info})"
        given = [(plan.source, source), (plan.info, info)]
        positional = [value for name, value in given if name == ""]
        named = [f"{name}={value}" for name, value in given if name]
        function = self.names.of("R", field.number, plan.function)
        return [f"{a} = {function}({', '.join([*positional, *named, *arguments])})"]

    def _load(self, field: Field, load: Load, source: str, link: str) -> list[str]:
        a, k, key, p = f"a{field.number}", f"k{field.number}", repr(field.key), self.names.position(field.value)
        plan = Attribute(load.key) if isinstance(load.key, str) else load.key
        read = read_expression(self.names, field, plan, source)
        lines = [
            f"{a} = None",
            "try:",
            *([f"    S.arguments({self.names.field(field)})"] if field.has_variables else []),
            f"    {k} = {f'list({read})' if load.many else read}",
            "except Exception as e:",
            f"    {k} = None",
            f"    {a} = S.fail({p}, e, {link}, {key})",
            "else:",
        ]
        if load.many:
            return [
                *lines,
                f"    if not {k}:",
                f"        {k} = None",
                f"        {a} = c{field.value.number}([], {link}, {key}, S)",
            ]
        return [*lines, f"    if {k} is None:", f"        {a} = S.null({p}, {link}, {key})"]
