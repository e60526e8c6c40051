"""Reading a YAML file that a person wrote: what YAML lets pass in silence is an error here."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_NODES = 10_000
"""What a file may come to with all its aliases followed; the largest settings are a few hundred."""


class Unsound(yaml.MarkedYAMLError):
    """Valid YAML that nobody meant. ``problem`` says why, and shows nothing of the file."""


class StrictLoader(yaml.SafeLoader):
    """SafeLoader, but a name that stands twice in a map, and aliases that multiply, are Unsound."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _check(node, {})
        return node


def load(text: str) -> Any:
    """The content of a YAML document. Raises yaml.YAMLError, Unsound among them, and RecursionError."""
    return yaml.load(text, StrictLoader)  # noqa: S506 - a SafeLoader


def _check(node: yaml.Node, weights: dict[int, int]) -> int:
    """How many nodes there are from here on, each alias counted as what it stands for."""
    known = weights.get(id(node))
    if known is not None:
        return known
    weights[id(node)] = 0  # a node that contains itself adds nothing to itself
    weight = 1
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys and key.value != "<<":
                    raise _problem("a name stands twice in one map", key)
                keys.add(key.value)
            weight += _check(key, weights) + _check(value, weights)
    elif isinstance(node, yaml.SequenceNode):
        weight += sum(_check(item, weights) for item in node.value)
    if weight > _MOST_NODES:
        raise _problem(f"it comes to more than {_MOST_NODES:,} values", node)
    weights[id(node)] = weight
    return weight


def _problem(problem: str, node: yaml.Node) -> Unsound:
    return Unsound(problem=problem, problem_mark=node.start_mark)
