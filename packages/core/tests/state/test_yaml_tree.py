from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from image_factory.state.yaml_tree import resolve, to_tree, to_value


@given(st.text(alphabet="0123456789.+-_:exoabcdefinN~truTRUEyYsSolOL", max_size=8))
def test_words_are_taken_for_what_pyyaml_takes_them_for(word: str) -> None:
    """But not dates, which stay text, nor exponents without a dot and 0o7, which YAML 1.2 takes for numbers."""
    loader = yaml.SafeLoader("")
    tag = loader.resolve(  # type: ignore[no-untyped-call]
        yaml.ScalarNode, word, (True, False)
    )
    ours = resolve(word)

    if "e" in word.lower() or "o" in word or ":" in word or tag.endswith((":timestamp", ":merge", ":value")):
        return
    names = {str: "str", bool: "bool", int: "int", float: "float", type(None): "null"}
    assert tag.rpartition(":")[2] == names[type(ours)]


def test_a_tree_of_plain_values_gives_them_back() -> None:
    value = {"a": [1, {"b": None}], "c": "x"}

    assert value == to_value(to_tree(value))
