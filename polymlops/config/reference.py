"""docs/configuration.md from the schema: `python -m polymlops.config.reference > docs/configuration.md`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from polymlops.config.profile_table import profile_lines
from polymlops.config.schema import ExperimentConfig
from polymlops.config.section import Section

Schema = Mapping[str, Any]
COLUMNS = ("| key | value | default | meaning |", "|---|---|---|---|")
BOUNDS = (("exclusiveMinimum", "> {}"), ("minimum", "≥ {}"), ("exclusiveMaximum", "< {}"), ("maximum", "≤ {}"))
NAMES = {"integer": "integer", "number": "number", "boolean": "true, false", "string": "text"}
OPENING = """\
# Configuration

This page is made of the schema and the packaged profiles by `python -m polymlops.config.reference`; a test compares.

A profile is a YAML file of what differs from the defaults. `--set a.b=value` overrides one key, its value read as YAML:
`--set sft.epochs=1 --set 'seeds=[1, 2]' --set 'reward={kind: heuristic}'`. An unknown key is an error, and so is a
value out of range; both are found before anything starts. A section with kinds takes the keys of its kind only; where
none is named, it is the default's. `none` in a meaning is YAML's `null`. `polymlops plan PROFILE --json` prints the
whole config.
"""


@dataclass
class _Page:
    """The schema, and which of its sections have been written under which heading."""

    sections: Mapping[str, Schema]
    lines: list[str] = field(default_factory=list)
    headings: dict[str, str] = field(default_factory=dict)


def reference_page() -> str:
    """Every key of a config with its values, default and meaning, and what each packaged profile changes."""
    schema = ExperimentConfig.model_json_schema()
    page = _Page(schema["$defs"])
    page.lines += [OPENING, *profile_lines(), "", "## Keys", ""]
    _write_section(page, "", schema, ExperimentConfig().model_dump(mode="json", by_alias=True))
    return "\n".join(page.lines).rstrip() + "\n"


def _write_section(page: _Page, path: str, schema: Schema, defaults: Mapping[str, Any]) -> None:
    """The table of a section's own keys, and behind it the sections that it holds."""
    keys = {key: value for key, value in schema["properties"].items() if "const" not in value}
    if not keys:
        page.lines += ["No further key.", ""]
        return
    page.lines += COLUMNS
    page.lines += [_row(page, schema, key, value, defaults) for key, value in keys.items()]
    page.lines.append("")
    for key, value in keys.items():
        for name, kind, suffix in _held(value):
            given = defaults.get(key) if not suffix else None
            _write_held(page, f"{path}.{key}{suffix}".lstrip("."), name, kind, given)


def _write_held(page: _Page, path: str, name: str, kind: str, given: Any) -> None:
    """A section under its path, or where to find it."""
    title = f"`{path}`, kind `{kind}`" if kind else f"`{path}`"
    if page.headings.get(name) == title:  # two kinds hold the same
        return
    schema = page.sections[name]
    chosen = isinstance(given, dict) and given.get("kind", kind) == kind
    defaults = given if chosen else _defaults(schema)
    page.lines += [f"### {title}", ""]
    if name in page.headings:
        first = page.headings[name]
        page.lines += [f"As [{first}](#{_anchor(first)}){_but(defaults, _defaults(schema))}.", ""]
        return
    page.headings[name] = title
    page.lines += [_escaped(_sentence(schema)), ""]
    _write_section(page, path, schema, defaults)


def _but(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Which defaults are other ones here."""
    found = [f"`{key}` {_code(value)}" for key, value in _differences(ours, theirs)]
    return f", but for the defaults of {', '.join(found)}" if found else ""


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in ours.items():
        if key == "kind" or value == theirs.get(key):
            continue
        if isinstance(value, dict) and isinstance(theirs.get(key), dict):
            yield from _differences(value, theirs[key], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _defaults(schema: Schema) -> dict[str, Any]:
    return {key: value["default"] for key, value in schema["properties"].items() if "default" in value}


def _row(page: _Page, schema: Schema, key: str, value: Schema, defaults: Mapping[str, Any]) -> str:
    named = f"`{key}`{_in_python(schema, key)}"
    meaning = value.get("description") or " ".join(_sentence(page.sections[name]) for name, *_ in _held(value)[:1])
    cells = (named, _values(value), _default(key, value, defaults), meaning)
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _default(key: str, value: Schema, defaults: Mapping[str, Any]) -> str:
    if key not in defaults:
        return "required"
    default = defaults[key]
    if isinstance(default, dict) and _held(value):
        return f"kind `{default['kind']}`" if "kind" in default else _code({}) if not default else "see below"
    if isinstance(default, list) and _held(value):
        return f"{len(default)} of them"
    return _code(default)


def _values(value: Schema) -> str:
    """Type, range and choices in words."""
    if "anyOf" in value:
        return " or ".join(_values(part) for part in value["anyOf"])
    if "$ref" in value or "oneOf" in value:
        kinds = [f"`{kind}`" for _, kind, _ in _held(value) if kind]
        return f"section of kind {', '.join(kinds)}" if kinds else "section"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if value.get("type") == "null":
        return "`null`"
    if value.get("type") == "array":
        return _many(value)
    if value.get("type") == "object":
        return "mapping"
    bounds = [text.format(value[name]) for name, text in BOUNDS if name in value]
    named = "path" if value.get("format") == "path" else NAMES[value["type"]]
    pattern = [f"`{value['pattern']}`"] if "pattern" in value else []
    return " ".join([named, *([", ".join(bounds)] if bounds else []), *pattern])


def _many(value: Schema) -> str:
    if "prefixItems" in value:
        return f"[{', '.join(_values(part) for part in value['prefixItems'])}]"
    least, most = value.get("minItems"), value.get("maxItems")
    count = str(least) if least == most and least else f"{least} or more" if least else ""
    return f"list of {count}: {_values(value['items'])}".replace(" :", ":")


def _held(value: Schema) -> list[tuple[str, str, str]]:
    """The sections that a key may hold: name in the schema, kind or nothing, and what stands behind the key's path."""
    if "$ref" in value:
        return [(_name(value["$ref"]), "", "")]
    if "discriminator" in value:
        kinds = value["discriminator"]["mapping"]
        order = [_name(part["$ref"]) for part in value["oneOf"]]
        by_name = {_name(reference): kind for kind, reference in kinds.items()}
        return [(name, by_name[name], "") for name in order]
    if "anyOf" in value:
        return [held for part in value["anyOf"] for held in _held(part)]
    inside = [value["items"]] if isinstance(value.get("items"), dict) else []
    inside += [*value.get("patternProperties", {}).values()]
    inside += [value["additionalProperties"]] if isinstance(value.get("additionalProperties"), dict) else []
    mark = "[]" if "items" in value else ".NAME"
    return [(name, kind, mark + suffix) for part in inside for name, kind, suffix in _held(part)]


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _in_python(schema: Schema, key: str) -> str:
    """What a key that Python reserves is called there."""
    fields = _classes(Section)[schema["title"]].model_fields
    return "" if key in fields else f" (in Python `{key}_`)"


def _classes(base: type[Section]) -> dict[str, type[Section]]:
    found = {base.__name__: base}
    for part in base.__subclasses__():
        found |= _classes(part)
    return found


def _sentence(schema: Schema) -> str:
    return " ".join(str(schema["description"]).split())


def _code(value: Any) -> str:
    text = value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)
    return f"`{text}`"


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|").replace("\n", " ")


def _anchor(title: str) -> str:
    """What GitHub calls the heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    print(reference_page(), end="")
