"""What changed between two revisions of a document, told to someone who calls the service from Python.

Both documents are in the house form (`scripts.openapi.normalise`). A change is `breaking` if code that worked may stop
working, `care` if code goes on working but may meet something new, and `compatible` otherwise. What callers send is
judged by what they may no longer send, what they receive by what they can no longer read; a class that occurs in both
is judged as something sent. A change of a field is told once, of the class that declares it.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

from scripts.openapi.documents import Json, operations, schemas
from scripts.openapi.names import attribute
from scripts.openapi.normalise import NAMED, ancestors

__all__ = ["Change", "Counts", "Effect", "Kind", "Report", "Semver", "compare"]

Kind: TypeAlias = Literal["removed", "changed", "added"]
Effect: TypeAlias = Literal["breaking", "care", "compatible"]
Semver: TypeAlias = Literal["none", "patch", "minor", "major"]

GROUPS: Final = ("Operations", "Step types", "Inputs", "Answers", "Fields", "Enum values")
STEP_TEMPLATE: Final = "WorkflowStepTemplate"
STEP: Final = "WorkflowStep"

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}
_EFFECTS: Final = ("breaking", "care", "compatible")
_KINDS: Final = ("removed", "changed", "added")
_STEPS: Final = ("none", "patch", "minor", "major")
_SCALARS: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT: Final = ("pattern", "multipleOf", "uniqueItems")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was."""

    group: str
    """One of `GROUPS`."""
    kind: Kind
    subject: str
    """What changed, by its Python name: `ImageGenInput.aspect_ratio`, `workflows.submit_workflow(wait)`."""
    wire: str
    """The same as the service writes it: a schema, a field, a value, or a method and path."""
    detail: str
    """What it was and what it is now."""
    effect: Effect
    reason: str
    """Why the effect is what it is."""
    grows: bool = False
    """Whether callers can do something that they could not do before."""

    @property
    def semver(self) -> Semver:
        """The step that this change alone asks for."""
        if self.effect == "breaking":
            return "major"
        return "minor" if self.grows or self.kind == "added" else "patch"

    @property
    def order(self) -> tuple[int, str, int, int, str, str]:
        """Sort by group and subject, what breaks callers first."""
        kinds = _KINDS.index(self.kind)
        return GROUPS.index(self.group), self.subject, _EFFECTS.index(self.effect), kinds, self.wire, self.detail


@dataclass(frozen=True, slots=True)
class Counts:
    """The size of a revision."""

    operations: int
    step_types: int
    schemas: int

    @classmethod
    def of(cls, document: Json) -> "Counts":
        """Count a document in the house form."""
        named = schemas(document)
        return cls(sum(1 for _ in operations(document)), len(_mapping(named, STEP_TEMPLATE)), len(named))


@dataclass(frozen=True, slots=True)
class Report:
    """All changes between two revisions, in a fixed order."""

    before: Counts
    after: Counts
    changes: tuple[Change, ...]

    @property
    def breaking(self) -> tuple[Change, ...]:
        """The changes that break callers."""
        return tuple(change for change in self.changes if change.effect == "breaking")

    @property
    def semver(self) -> Semver:
        """The step that the version of the SDK has to make."""
        return max((change.semver for change in self.changes), key=_STEPS.index, default="none")

    def to_json(self) -> Json:
        """Give the report as what JSON can hold."""
        return {
            "semver": self.semver,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "changes": [{**asdict(change), "semver": change.semver} for change in self.changes],
        }

    def to_text(self) -> str:
        """Give the report as lines to read: what breaks callers first, marked with `!`, then the rest by what it is."""
        if not self.changes:
            return "No drift: nothing that a caller could notice has changed.\nVersion step: none\n"
        before, after = asdict(self.before), asdict(self.after)
        lines = [", ".join(f"{key.replace('_', ' ')} {before[key]} → {after[key]}" for key in before)]
        lines.append(f"changes: {len(self.changes)}, of them breaking (marked !): {len(self.breaking)}")
        if self.breaking:
            lines += ["", f"Breaks callers ({len(self.breaking)})", *map(_line, self.breaking)]
        rest = [change for change in self.changes if change.effect != "breaking"]
        for group, found in groupby(rest, key=lambda change: change.group):
            changes = list(found)
            lines += ["", f"{group} ({len(changes)})", *map(_line, changes)]
        return "\n".join([*lines, "", f"Version step: {self.semver}", ""])


def _line(change: Change) -> str:
    mark = "!" if change.effect == "breaking" else " "
    wire = f" [{change.wire}]" if change.subject.rpartition(".")[2] != change.wire else ""
    reason = f" ({change.reason})" if change.reason else ""
    detail = f": {change.detail}" if change.detail else ""
    return f"{mark} {_SIGNS[change.kind]} {change.subject}{wire}{detail}{reason}"


def compare(before: Json, after: Json) -> Report:
    """Compare two documents in the house form."""
    found = set(_Comparison(before, after).changes())
    return Report(Counts.of(before), Counts.of(after), tuple(sorted(found, key=lambda change: change.order)))


# -------------------------------------------------------------------------------------------------------- one revision


class _Revision:
    """A document, and what has to be known of it as a whole."""

    def __init__(self, document: Json) -> None:
        self.named = schemas(document)
        self.lines = {name: tuple(ancestors(self.named, name)) for name in self.named}
        self.operations = {
            operation["operationId"]: (path, method, operation) for path, method, operation in operations(document)
        }
        bodies = [o.get("requestBody") for _, _, o in self.operations.values()]
        parameters = [o.get("parameters") for _, _, o in self.operations.values()]
        self.sent = self._reachable([*bodies, *parameters])
        self.fields = {name: self._fields(name) for name in self.named}

    def _reachable(self, roots: Any) -> set[str]:
        """Name the schemas that occur in `roots`: in fields, as bases, and as the subclasses that a base chooses."""
        found: set[str] = set()
        todo = list(_references(roots))
        while todo:
            name = todo.pop()
            if name not in found and name in self.named:
                found.add(name)
                todo += _references(self.named[name])
        return found

    def _fields(self, name: str) -> dict[str, tuple[Json, bool]]:
        """Give the fields of a class, inherited ones too: schema, and whether it is required."""
        fields: Json = {}
        required: set[str] = set()
        for line in (name, *self.lines[name]):
            own = _own(self.named[line])
            fields = {**own.get("properties", {}), **fields}
            required |= set(own.get("required", ()))
        return {field: (schema, field in required) for field, schema in fields.items()}

    def resolved(self, schema: Json) -> Json:
        """Follow a reference to what is no class: an enum or the name of a list."""
        name = schema.get("$ref", "").removeprefix(NAMED)
        if not name or self.is_class(name):
            return schema
        return {**self.named[name], **{key: value for key, value in schema.items() if key != "$ref"}}

    def is_class(self, name: str) -> bool:
        """Tell whether a named schema is generated as a class."""
        return "allOf" in self.named[name] or self.named[name].get("type") == "object"

    def atoms(self, schema: Json) -> list[Json]:
        """Take a schema apart into alternatives of one type each; an empty one allows anything."""
        schema = self.resolved(schema)
        if "anyOf" in schema:
            return [atom for part in schema["anyOf"] for atom in self.atoms(part)]
        kinds = schema.get("type", "")
        if isinstance(kinds, str):
            return [schema]
        return [{"type": "null"} if kind == "null" else {**schema, "type": kind} for kind in kinds]

    def python(self, schema: Json) -> str:
        """Write a type the way it is annotated."""
        names = dict.fromkeys(self._python(atom, schema) for atom in self.atoms(schema))
        return "Any" if "Any" in names else " | ".join(sorted(names, key=lambda name: name == "None"))

    def _python(self, atom: Json, schema: Json) -> str:
        for named in (schema, *schema.get("anyOf", ()), atom):
            if "$ref" in named and self.resolved(named) == atom:
                return str(named["$ref"]).removeprefix(NAMED)
        values = [repr(value) for value in atom.get("enum", ()) if value is not None]
        if values:
            return f"Literal[{', '.join([*values[:4], *(['…'] if len(values) > 4 else [])])}]"
        kind = atom.get("type", "")
        if kind == "array":
            return f"list[{self.python(atom.get('items', {}))}]"
        if kind == "object":
            return f"dict[str, {self.python(atom.get('additionalProperties', {}))}]"
        if atom.get("format") == "date-time":
            return "datetime"
        return _SCALARS.get(kind, "Any")


def _own(schema: Json) -> Json:
    parts: list[Json] = schema.get("allOf", [])
    return parts[-1] if parts else schema


def _remainder(schema: Json) -> Json:
    """Give what a class says beside its bases, its fields and its discriminator, which are compared on their own."""
    told = ("discriminator", "properties", "required")
    return {key: value for key, value in _own(schema).items() if key not in told}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(NAMED)
            elif key == "mapping" and all(str(target).startswith(NAMED) for target in value.values()):
                yield from (target.removeprefix(NAMED) for target in value.values())
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _mapping(named: Json, name: str) -> dict[str, str]:
    """Give the values that make a base choose a subclass, each with the subclass."""
    mapping = _own(named.get(name, {})).get("discriminator", {}).get("mapping", {})
    return {value: target.removeprefix(NAMED) for value, target in mapping.items()}


# ------------------------------------------------------------------------------------------------------------ comparing


@dataclass(frozen=True, slots=True)
class _Place:
    """Where two schemas are compared, and which side of a call it is."""

    group: str
    subject: str
    wire: str
    sent: bool

    def change(self, kind: Kind, detail: str, effect: Effect, reason: str, *, grows: bool = False) -> Change:
        return Change(self.group, kind, self.subject, self.wire, detail, effect, reason, grows)

    def value(self, kind: Kind, value: Any, effect: Effect, reason: str) -> Change:
        return Change("Enum values", kind, self.subject, self.wire, repr(value), effect, reason)


_Changed: TypeAlias = Callable[[str, Effect, str], Change]
"""Makes a change of the operation in hand of a detail, an effect and a reason."""


class _Comparison:
    """Two revisions side by side."""

    def __init__(self, before: Json, after: Json) -> None:
        self.old = _Revision(before)
        self.new = _Revision(after)

    def changes(self) -> Iterator[Change]:
        yield from self._operations()
        yield from self._step_types()
        yield from self._classes()
        for name in self.old.named.keys() & self.new.named.keys():
            yield from self._schema(name)

    # operations

    def _operations(self) -> Iterator[Change]:
        for name in self.old.operations.keys() | self.new.operations.keys():
            if name not in self.new.operations:
                path, method, operation = self.old.operations[name]
                there = [k for k, v in self.new.operations.items() if v[:2] == (path, method)]
                reason = f"it is {_function(there[0], self.new.operations[there[0]][2])} now" if there else "it is gone"
                yield _operation("removed", name, path, method, operation, "", "breaking", reason)
            elif name not in self.old.operations:
                path, method, operation = self.new.operations[name]
                yield _operation("added", name, path, method, operation, "", "compatible", "")
            else:
                yield from self._operation(name)

    def _operation(self, name: str) -> Iterator[Change]:
        old_path, old_method, old = self.old.operations[name]
        path, method, new = self.new.operations[name]

        def changed(detail: str, effect: Effect, reason: str) -> Change:
            return _operation("changed", name, path, method, new, detail, effect, reason)

        if (old_path, old_method) != (path, method):
            moved = f"was {old_method.upper()} {old_path}"
            yield changed(moved, "care", "releases of this SDK made before call the old one")
        if _module(old) != _module(new):
            yield changed(f"was in api.{_module(old)}", "breaking", "its module has another name")
        if _needs_token(old) != _needs_token(new):
            effect: Effect = "breaking" if _needs_token(new) else "compatible"
            yield changed("needs a token" if _needs_token(new) else "needs no token", effect, "")
        if new.get("deprecated") and not old.get("deprecated"):
            yield changed("deprecated", "care", "it will go")
        yield from self._parameters(name)
        yield from self._body(changed, old.get("requestBody", {}), new.get("requestBody", {}), _function(name, new))
        yield from self._answers(changed, old, new, _function(name, new))

    def _parameters(self, name: str) -> Iterator[Change]:
        _, _, operation = self.new.operations[name]
        old = {(p["in"], p["name"]): p for p in self.old.operations[name][2].get("parameters", ())}
        new = {(p["in"], p["name"]): p for p in operation.get("parameters", ())}
        for key in old.keys() | new.keys():
            function = _function(name, operation)
            place = _Place("Operations", f"{function}({attribute(key[1])})", f"{key[0]} {key[1]}", True)
            if key not in new:
                yield place.change("removed", "", "breaking", "the argument is gone")
            elif key not in old:
                is_needed = new[key].get("required") and "default" not in new[key]["schema"]
                reason = "callers have to give it" if is_needed else ""
                kind = self.new.python(new[key]["schema"])
                yield place.change("added", kind, "breaking" if is_needed else "compatible", reason)
            else:
                found = list(self._required(place, bool(old[key].get("required")), new[key].get("required", False), {}))
                found += self._types(place, old[key]["schema"], new[key]["schema"])
                yield from found
                if old[key] != new[key] and not found:
                    yield place.change("changed", "how it is written in a request", "compatible", "")

    def _body(self, changed: _Changed, old: Json, new: Json, function: str) -> Iterator[Change]:
        if bool(old) != bool(new):
            yield changed(f"{'takes' if new else 'no longer takes'} a body", "breaking", "the arguments differ")
            return
        if new.get("required") and not old.get("required"):
            yield changed("requires its body", "compatible", "a call without one made no sense before")
        place = _Place("Operations", function, "body", True)
        yield from self._contents(changed, place, old.get("content", {}), new.get("content", {}), "takes")

    def _answers(self, changed: _Changed, old: Json, new: Json, function: str) -> Iterator[Change]:
        for status in old["responses"].keys() | new["responses"].keys():
            before, after = old["responses"].get(status), new["responses"].get(status)
            if before is None or after is None:
                verb = "may answer" if before is None else "no longer answers"
                yield changed(f"{verb} {status}", "care" if before is None else "compatible", "")
                continue
            place = _Place("Operations", function, f"answer {status}", False)
            yield from self._contents(changed, place, before.get("content", {}), after.get("content", {}), "answers")
            if before.get("headers") != after.get("headers"):
                yield changed(f"other headers with {status}", "compatible", "")

    def _contents(self, changed: _Changed, place: _Place, old: Json, new: Json, verb: str) -> Iterator[Change]:
        for kind in old.keys() | new.keys():
            if kind not in new:
                yield changed(f"no longer {verb} {kind}", "breaking", f"{place.wire} in that form is gone")
            elif kind not in old:
                yield changed(f"{verb} {kind}", "compatible" if old or place.sent else "care", place.wire)
            else:
                yield from self._types(place, old[kind]["schema"], new[kind]["schema"])

    # classes

    def _step_types(self) -> Iterator[Change]:
        old, new = (_mapping(revision.named, STEP_TEMPLATE) for revision in (self.old, self.new))
        for value in old.keys() ^ new.keys():
            is_new = value in new
            revision, template = (self.new, new[value]) if is_new else (self.old, old[value])
            step = _mapping(revision.named, STEP).get(value, "")
            signature = [
                revision.python(revision.fields.get(owner, {}).get(field, ({}, False))[0])
                for owner, field in ((template, "input"), (step, "output"))
            ]
            detail = " → ".join(signature)
            if is_new:
                yield Change("Step types", "added", value, value, detail, "compatible", "")
            else:
                yield Change("Step types", "removed", value, value, detail, "breaking", "it can no longer be submitted")

    def _classes(self) -> Iterator[Change]:
        """Tell which classes came and went, except those that a step type consists of."""
        for revision, other in ((self.old, self.new), (self.new, self.old)):
            told = {*_mapping(revision.named, STEP_TEMPLATE).values(), *_mapping(revision.named, STEP).values()}
            for name in revision.named.keys() - other.named.keys() - told:
                group = "Inputs" if name in revision.sent else "Answers"
                detail = self._chosen_by(revision, name)
                if revision is self.new:
                    yield Change(group, "added", name, name, detail, "compatible", "")
                else:
                    yield Change(group, "removed", name, name, detail, "breaking", "the class is gone")

    @staticmethod
    def _chosen_by(revision: _Revision, name: str) -> str:
        for base in revision.lines[name][:1]:
            field = _own(revision.named[base]).get("discriminator", {}).get("propertyName", "")
            values = [value for value, target in _mapping(revision.named, base).items() if target == name]
            chosen = f" for {attribute(field)}={' or '.join(map(repr, values))}" if values else ""
            return f"extends {base}{chosen}"
        return ""

    def _schema(self, name: str) -> Iterator[Change]:
        old, new = self.old.named[name], self.new.named[name]
        if old == new and all(self.old.named.get(b) == self.new.named.get(b) for b in self.new.lines[name]):
            return
        sent = name in self.new.sent or name in self.old.sent
        place = _Place("Inputs" if sent else "Answers", name, name, sent)
        classes = [revision.is_class(name) for revision in (self.old, self.new)]
        found: list[Change] = []
        if not any(classes):
            found += self._types(place, old, new)
        elif not all(classes):
            found.append(place.change("changed", "a class on one side only", "breaking", "it is another kind of thing"))
        else:
            found += self._bases(place)
            found += self._choices(place)
            fields = list(self._fields(name, sent))
            above = {
                (c.kind, c.wire, c.detail)
                for base in self.new.lines[name]
                if base in self.old.named
                for c in self._fields(base, sent)
            }
            found += [c for c in fields if (c.kind, c.wire, c.detail) not in above]
            if not fields and not found and _remainder(old) != _remainder(new):
                found.append(place.change("changed", "declared differently", "compatible", "its fields are the same"))
        yield from found

    def _bases(self, place: _Place) -> Iterator[Change]:
        old, new = (revision.lines[place.subject] for revision in (self.old, self.new))
        if old[:1] != new[:1]:
            lost = set(old) - set(new)
            reason = f"isinstance(…, {min(lost)}) is false now" if lost else ""
            detail = f"extends {', '.join(new[:1]) or 'nothing'}, not {', '.join(old[:1]) or 'nothing'}"
            yield place.change("changed", detail, "breaking" if lost else "compatible", reason)

    def _choices(self, place: _Place) -> Iterator[Change]:
        """Tell which values choose another subclass; where the subclass itself came or went, that is told already."""
        name = place.subject
        fields = [_own(r.named[name]).get("discriminator", {}).get("propertyName") for r in (self.old, self.new)]
        if fields[0] != fields[1]:
            names = [attribute(field) if field else "nothing" for field in fields]
            yield place.change("changed", f"chosen by {names[1]}, not {names[0]}", "breaking", "dispatch differs")
            return
        old, new = (_mapping(revision.named, name) for revision in (self.old, self.new))
        for value in sorted(old.keys() | new.keys()):
            what = f"{attribute(str(fields[1]))}={value!r}"
            if name in (STEP_TEMPLATE, STEP) and (value in old) != (value in new):
                continue
            if value not in new and old[value] in self.new.named:
                yield place.change("removed", f"{what} for {old[value]}", "breaking", "it chooses nothing now")
            elif value not in old and new[value] in self.old.named:
                yield place.change("added", f"{what} for {new[value]}", "compatible", "")
            elif value in old and value in new and old[value] != new[value]:
                yield place.change("changed", f"{what} is {new[value]}, not {old[value]}", "breaking", "another class")

    # fields and types

    def _fields(self, name: str, sent: bool) -> Iterator[Change]:
        old, new = self.old.fields[name], self.new.fields[name]
        for field in sorted(old.keys() | new.keys()):
            schema, required = new.get(field) or old[field]
            is_read_only = bool(schema.get("readOnly"))
            place = _Place("Fields", f"{name}.{attribute(field)}", field, sent and not is_read_only)
            if field not in new:
                yield self._removed(place, name, field)
            elif field not in old:
                is_needed = place.sent and required and not _is_given(schema)
                reason = "callers have to give it" if is_needed else ""
                yield place.change("added", self.new.python(schema), "breaking" if is_needed else "compatible", reason)
            else:
                yield from self._required(place, old[field][1], required, schema)
                yield from self._types(place, old[field][0], schema)
                if is_read_only and not old[field][0].get("readOnly"):
                    effect: Effect = "breaking" if sent else "compatible"
                    yield place.change("changed", "read-only", effect, "callers can no longer set it" if sent else "")
                elif old[field][0].get("readOnly") and not is_read_only:
                    yield place.change("changed", "no longer read-only", "compatible", "", grows=sent)

    def _removed(self, place: _Place, name: str, field: str) -> Change:
        heirs = [child for child in _mapping(self.new.named, name).values() if child in self.new.fields]
        if heirs and all(field in self.new.fields[child] for child in heirs):
            return place.change("removed", "", "care", "each of its subclasses has it")
        return place.change("removed", "", "breaking", "the attribute is gone")

    @staticmethod
    def _required(place: _Place, old: bool, new: bool, schema: Json) -> Iterator[Change]:
        if old and not new:
            effect: Effect = "compatible" if place.sent else "care"
            reason = "callers may leave it out" if place.sent else "an answer may come without it"
            yield place.change("changed", "optional", effect, reason, grows=place.sent)
        elif new and not old:
            is_needed = place.sent and not _is_given(schema)
            reason = "callers have to give it" if is_needed else ""
            yield place.change("changed", "required", "breaking" if is_needed else "compatible", reason)

    def _types(self, place: _Place, old: Json, new: Json) -> Iterator[Change]:
        """Compare what two schemas allow: type, enum values, limits, default, format."""
        if old == new:
            return
        found = [*self._type(place, old, new), *self._values(place, old, new), *self._limits(place, old, new)]
        yield from found
        if not found and _unmarked(self.old.resolved(old)) != _unmarked(self.new.resolved(new)):
            yield place.change("changed", "described differently", "compatible", "the Python type is the same")

    def _type(self, place: _Place, old: Json, new: Json) -> Iterator[Change]:
        wider, narrower = self._fits(old, self.old, new, self.new), self._fits(new, self.new, old, self.old)
        if wider and narrower:
            return
        before, after = self.old.python(old), self.new.python(new)
        detail = f"{before} → {after}" if before != after else f"{before}, with other parts"
        if place.sent:
            reason = "accepts more" if wider else "does not accept all that it did"
            yield place.change("changed", detail, "compatible" if wider else "breaking", reason, grows=wider)
        elif narrower:
            yield place.change("changed", detail, "compatible", "answers hold less than they might have")
        else:
            reason = "answers may hold something new" if wider else "answers hold something else"
            yield place.change("changed", detail, "care" if wider else "breaking", reason)

    def _fits(self, inner: Json, of_inner: _Revision, outer: Json, of_outer: _Revision) -> bool:
        """Tell whether every value of the type `inner` is one of the type `outer`, enum values and limits aside."""
        outer_atoms = of_outer.atoms(outer)
        return all(
            any(self._atom_fits(one, of_inner, other, of_outer) for other in outer_atoms)
            for one in of_inner.atoms(inner)
        )

    def _atom_fits(self, inner: Json, of_inner: _Revision, outer: Json, of_outer: _Revision) -> bool:
        if "$ref" in inner or "$ref" in outer:
            one, other = (str(atom.get("$ref", "")).removeprefix(NAMED) for atom in (inner, outer))
            line = {*self.old.lines.get(one, ()), *self.new.lines.get(one, ())}
            return one == other or bool(one and other in line) or _is_any(outer)
        if _is_any(outer) or _is_any(inner):
            return _is_any(outer)
        kinds = inner.get("type"), outer.get("type")
        if kinds[0] != kinds[1]:
            return kinds == ("integer", "number")
        if "enum" in outer and "enum" not in inner:
            return False
        if (inner.get("format") == "date-time") != (outer.get("format") == "date-time"):
            return False
        for part in ("items", "additionalProperties"):
            if not self._fits(inner.get(part, {}), of_inner, outer.get(part, {}), of_outer):
                return False
        return True

    def _values(self, place: _Place, old: Json, new: Json) -> Iterator[Change]:
        before, after = _enum(self.old, old), _enum(self.new, new)
        if before is None or after is None or (before[0] and before[0] == after[0]):
            return  # A change of a named enum is told of the enum itself.
        for value in before[1]:
            if value not in after[1]:
                reason = "it is no longer accepted" if place.sent else "it no longer occurs"
                yield place.value("removed", value, "breaking" if place.sent else "compatible", reason)
        for value in after[1]:
            if value not in before[1]:
                reason = "" if place.sent else "answers may hold it"
                yield place.value("added", value, "compatible" if place.sent else "care", reason)

    def _limits(self, place: _Place, old: Json, new: Json) -> Iterator[Change]:
        before, after = _flat(self.old, old), _flat(self.new, new)
        for path in sorted(before.keys() | after.keys()):
            was, now = before.get(path), after.get(path)
            if was == now or "date-time" in (was, now):
                continue  # Which of two texts is a datetime is told as a change of type.
            key = path.rpartition(".")[2]
            is_tighter = now is not None and (
                key in _EXACT
                or (key in _LOWER and (was is None or now > was))
                or (key in _UPPER and (was is None or now < was))
            )
            detail = f"{path} {_shown(was)} → {_shown(now)}"
            if place.sent and is_tighter:
                yield place.change("changed", detail, "breaking", "values that were fine may be refused")
            elif place.sent and key == "default" and was is not None:
                yield place.change("changed", detail, "care", "callers that leave it out get something else")
            else:
                grows = place.sent and key not in ("default", "format")
                yield place.change("changed", detail, "compatible", "", grows=grows)


def _operation(
    kind: Kind, name: str, path: str, method: str, operation: Json, detail: str, effect: Effect, reason: str
) -> Change:
    wire = f"{name}, {method.upper()} {path}"
    return Change("Operations", kind, _function(name, operation), wire, detail, effect, reason)


def _module(operation: Json) -> str:
    return attribute(operation.get("tags", ["default"])[0])


def _function(name: str, operation: Json) -> str:
    return f"{_module(operation)}.{attribute(name)}"


def _needs_token(operation: Json) -> bool:
    return bool(operation["security"]) and {} not in operation["security"]


def _is_given(schema: Json) -> bool:
    """Tell whether a field that the document requires is left to the server or stated by the class."""
    return "default" in schema or bool(schema.get("readOnly")) or len(schema.get("enum", ())) == 1


def _is_any(atom: Json) -> bool:
    return not atom.keys() & {"type", "$ref", "enum", "allOf", "not"}


def _unmarked(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "readOnly"}


def _enum(revision: _Revision, schema: Json) -> tuple[str, list[Any]] | None:
    """Give the name of an enum, if it has one, and its values; that of the members for a list or map."""
    for atom in revision.atoms(schema):
        if "enum" in atom:
            names = [str(part["$ref"]) for part in (schema, *schema.get("anyOf", ())) if "$ref" in part]
            return (names or [""])[0], [value for value in atom["enum"] if value is not None]
        for part in ("items", "additionalProperties"):
            if part in atom and (found := _enum(revision, atom[part])) is not None:
                return found
    return None


def _flat(revision: _Revision, schema: Json, path: str = "") -> Json:
    """Give the limits, default and format of a schema and of its members."""
    found: Json = {}
    for atom in revision.atoms(schema):
        for key in (*_LOWER, *_UPPER, *_EXACT, "default", "format"):
            if key in atom:
                found[path + key] = atom[key]
        for part in ("items", "additionalProperties"):
            if part in atom and "$ref" not in atom[part]:
                found |= _flat(revision, atom[part], f"{path}{part}.")
    return found


def _shown(value: Any) -> str:
    return "none" if value is None else repr(value)
