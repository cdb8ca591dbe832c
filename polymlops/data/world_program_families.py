"""The families of tiny programming problems: description, right and wrong solutions, and a reference, for each k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["number", "items", "text"]
ARGUMENT: dict[Kind, str] = {"number": "x", "items": "items", "text": "text"}
NUMBERS = tuple(str(k) for k in range(2, 12))
LETTERS = tuple("aeiorstnld")


@dataclass(frozen=True, slots=True)
class Family:
    """Problems that differ in one parameter, `{k}` in every template; a body's lines have no common indentation."""

    name: str
    kind: Kind
    summary: str
    reference: Callable[[Any, Any], object]  # (k, argument) -> the right answer
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    parameters: tuple[str, ...] = NUMBERS


FAMILIES: tuple[Family, ...] = (
    Family(
        "add",
        "number",
        "return x plus {k}.",
        lambda k, x: x + k,
        ("return x + {k}", "return {k} + x", "return sum([x, {k}])", "x += {k}\nreturn x"),
        ("return x - {k}", "return x * {k}", "x + {k}\nreturn x"),
    ),
    Family(
        "times",
        "number",
        "return x times {k}.",
        lambda k, x: x * k,
        (
            "return x * {k}",
            "return {k} * x",
            "return sum([x] * {k})",
            "total = 0\nfor _ in range({k}):\n    total += x\nreturn total",
        ),
        ("return x + {k}", "return sum([x, {k}])"),
    ),
    Family(
        "at_least",
        "number",
        "return the larger of x and {k}.",
        lambda k, x: max(x, k),
        (
            "return max(x, {k})",
            "return x if x > {k} else {k}",
            "if x < {k}:\n    return {k}\nreturn x",
            "return sorted([x, {k}])[1]",
        ),
        ("return min(x, {k})", "return x if x < {k} else {k}", "return sorted([x, {k}])[0]"),
    ),
    Family(
        "distance",
        "number",
        "return how far x is from {k}.",
        lambda k, x: abs(x - k),
        (
            "return abs(x - {k})",
            "return max(x - {k}, {k} - x)",
            "return x - {k} if x > {k} else {k} - x",
            "if x > {k}:\n    return x - {k}\nreturn {k} - x",
        ),
        ("return x - {k}", "return {k} - x", "return abs(x + {k})"),
    ),
    Family(
        "clamp",
        "number",
        "return x but at least 0 and at most {k}.",
        lambda k, x: min(max(x, 0), k),
        (
            "return max(0, min(x, {k}))",
            "return min({k}, max(x, 0))",
            "return sorted([0, x, {k}])[1]",
            "if x < 0:\n    return 0\nif x > {k}:\n    return {k}\nreturn x",
        ),
        ("return min(x, {k})", "return max(0, x)", "return min(0, max(x, {k}))"),
    ),
    Family(
        "divides",
        "number",
        "return True if x is divisible by {k}.",
        lambda k, x: x % k == 0,
        (
            "return x % {k} == 0",
            "return not x % {k}",
            "return x // {k} * {k} == x",
            "if x % {k} == 0:\n    return True\nreturn False",
        ),
        ("return x % {k}", "return x % {k} == 1", "return x // {k} == 0"),
    ),
    Family(
        "count_above",
        "items",
        "count the items above {k}.",
        lambda k, items: len([v for v in items if v > k]),
        (
            "return len([v for v in items if v > {k}])",
            "return sum(1 for v in items if v > {k})",
            "count = 0\nfor v in items:\n    if v > {k}:\n        count += 1\nreturn count",
        ),
        ("return len([v for v in items if v >= {k}])", "return sum(v for v in items if v > {k})", "return len(items)"),
    ),
    Family(
        "sum_multiples",
        "items",
        "add up the items divisible by {k}.",
        lambda k, items: sum(v for v in items if v % k == 0),
        (
            "return sum(v for v in items if v % {k} == 0)",
            "return sum([v for v in items if not v % {k}])",
            "return sum(filter(lambda v: v % {k} == 0, items))",
            "total = 0\nfor v in items:\n    if v % {k} == 0:\n        total += v\nreturn total",
        ),
        (
            "return sum(v for v in items if v % {k})",
            "return sum(1 for v in items if v % {k} == 0)",
            "return sum(items)",
        ),
    ),
    Family(
        "keep_below",
        "items",
        "keep the items below {k}.",
        lambda k, items: [v for v in items if v < k],
        (
            "return [v for v in items if v < {k}]",
            "return list(filter(lambda v: v < {k}, items))",
            "kept = []\nfor v in items:\n    if v < {k}:\n        kept.append(v)\nreturn kept",
        ),
        ("return [v for v in items if v <= {k}]", "return [v for v in items if v > {k}]", "return items"),
    ),
    Family(
        "scale",
        "items",
        "multiply every item by {k}.",
        lambda k, items: [v * k for v in items],
        (
            "return [v * {k} for v in items]",
            "return [{k} * v for v in items]",
            "return list(map(lambda v: v * {k}, items))",
            "out = []\nfor v in items:\n    out.append(v * {k})\nreturn out",
        ),
        ("return items * {k}", "return [v + {k} for v in items]"),
    ),
    Family(
        "skip_first",
        "items",
        "return the items without the first {k}.",
        lambda k, items: items[k:],
        (
            "return items[{k}:]",
            "return [items[i] for i in range({k}, len(items))]",
            "return [v for i, v in enumerate(items) if i >= {k}]",
        ),
        ("return items[:{k}]", "return items[-{k}:]", "return [v for v in items if v >= {k}]"),
    ),
    Family(
        "last",
        "items",
        "return the last {k} items.",
        lambda k, items: items[-k:],
        ("return items[-{k}:]", "return items[max(0, len(items) - {k}):]", "return items[::-1][:{k}][::-1]"),
        ("return items[{k}:]", "return items[:{k}]", "return items[:-{k}]"),
    ),
    Family(
        "reverse_top",
        "items",
        "return the first {k} items in reverse.",
        lambda k, items: items[:k][::-1],
        (
            "return items[:{k}][::-1]",
            "return list(reversed(items[:{k}]))",
            "out = []\nfor v in items[:{k}]:\n    out = [v] + out\nreturn out",
            "out = items[:{k}]\nout.reverse()\nreturn out",
        ),
        ("return items[::-1][:{k}]", "return items[:{k}]", "return list(reversed(items))"),
    ),
    Family(
        "every",
        "items",
        "return every item whose index is divisible by {k}.",
        lambda k, items: items[::k],
        (
            "return items[::{k}]",
            "return [items[i] for i in range(0, len(items), {k})]",
            "return [v for i, v in enumerate(items) if i % {k} == 0]",
        ),
        ("return items[{k}::]", "return items[1::{k}]", "return [v for v in items if v % {k} == 0]"),
    ),
    Family(
        "repeat",
        "text",
        "return text repeated {k} times.",
        lambda k, text: text * k,
        (
            "return text * {k}",
            'return "".join([text] * {k})',
            'return "".join(text for _ in range({k}))',
            'out = ""\nfor _ in range({k}):\n    out += text\nreturn out',
        ),
        ("return text + {k}", "return [text] * {k}", 'return " ".join([text] * {k})'),
    ),
    Family(
        "shout",
        "text",
        "return the first {k} letters of text in upper case.",
        lambda k, text: text[:k].upper(),
        ("return text[:{k}].upper()", "return text.upper()[:{k}]", 'return "".join(c.upper() for c in text[:{k}])'),
        ("return text[:{k}]", "return text[{k}:].upper()", "return text.upper()"),
    ),
    Family(
        "count_letter",
        "text",
        "count the letter {k} in text.",
        lambda k, text: text.count(k),
        (
            'return text.count("{k}")',
            'return sum(1 for c in text if c == "{k}")',
            'return len([c for c in text if c == "{k}"])',
            'count = 0\nfor c in text:\n    if c == "{k}":\n        count += 1\nreturn count',
        ),
        ('return text.count("{k}") > 0', 'return sum(1 for c in text if c != "{k}")', "return len(text)"),
        LETTERS,
    ),
    Family(
        "drop_letter",
        "text",
        "return text without the letter {k}.",
        lambda k, text: "".join(c for c in text if c != k),
        (
            'return "".join(c for c in text if c != "{k}")',
            'return "".join([c for c in text if not c == "{k}"])',
            'out = ""\nfor c in text:\n    if c != "{k}":\n        out += c\nreturn out',
        ),
        ('return "".join(c for c in text if c == "{k}")', 'return [c for c in text if c != "{k}"]', "return text"),
        LETTERS,
    ),
)
