"""The judge is Kargo: known good and bad, each from the documents of Kargo 1.11, comes out as they say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kargo.judge import Judge, Refused

FREIGHT = {
    "metadata": {"name": "f1"},
    "origin": {"kind": "Warehouse", "name": "web"},
    "images": [{"repoURL": "ghcr.io/acme/web", "tag": "1.27", "digest": "sha256:0a"}],
    "commits": [{"repoURL": "https://git.example.com/state.git", "id": "c0ffee", "branch": "main"}],
}
CTX = {"project": "factory", "stage": "rebuild-web", "promotion": "p1", "freight": FREIGHT}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        pytest.param("plain 42", "plain 42", id="what holds no expression stays"),
        pytest.param("42", "42", id="a number that no expression made stays text"),
        pytest.param("${{ '42' }}", 42, id="an expression's digits become a number"),
        pytest.param("${{ imageFrom('ghcr.io/acme/web').Tag }}", 1.27, id="a tag of digits becomes a number"),
        pytest.param("${{ quote(imageFrom('ghcr.io/acme/web').Tag) }}", "1.27", id="a quoted tag stays text"),
        pytest.param("${{ imageFrom('ghcr.io/acme/api')?.Digest ?? '' }}", "", id="an absent image is nil"),
        pytest.param("${{ commitFrom('https://git.example.com/state').ID }}", "c0ffee", id="a commit without .git"),
        pytest.param("${{ ctx.targetFreight.origin.name }}", "web", id="the freight's origin"),
        pytest.param("${{ secret('github').token }}", "t0ken", id="a secret's key"),
        pytest.param("${{ secret('nowhere').token }}", "", id="an absent secret is empty"),
        pytest.param("${{ vars.branch }}-${{ outputs.read.id }}", "main-r1", id="vars and outputs in one text"),
        pytest.param("${{ outputs['read-it'].id }}", 7, id="a hyphenated alias is an index"),
        pytest.param("${{ status('read') == 'Succeeded' && success() }}", True, id="a condition is a boolean"),
        pytest.param({"a": ["${{ vars.branch }}", {"b": 1}]}, {"a": ["main", {"b": 1}]}, id="expressions within"),
        pytest.param('${% quote({"ref": vars.branch}) %}', '{"ref":"main"}', id="a body of JSON stays text"),
        pytest.param('{"ref": "${{ vars.branch }}"}', {"ref": "main"}, id="JSON with an expression inside is parsed"),
    ],
)
def test_an_expression_is_evaluated_as_kargo_does(judge: Judge, template: Any, value: Any) -> None:
    assert (
        judge.evaluate(
            template,
            ctx=CTX,
            vars={"branch": "main"},
            outputs={"read": {"id": "r1"}, "read-it": {"id": 7}},
            secrets={"github": {"token": "t0ken"}},
            statuses={"read": "Succeeded"},
        )
        == value
    )


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param("${{ imageFrom('ghcr.io/acme/api').Digest }}", "zero Value", id="nil has no member"),
        pytest.param("${{ {'a': {'b': 1}} }}", "unexpected token", id="two closing braces end the expression"),
        pytest.param("${{ vars.x", "unclosed expression", id="an open expression"),
        pytest.param("${{ nothing('x') }}", "nothing", id="an unknown function"),
    ],
)
def test_an_expression_that_kargo_cannot_evaluate_is_refused(judge: Judge, template: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        judge.evaluate(template, ctx=CTX)


def test_a_mistaken_request_is_answered_and_the_judge_goes_on(judge: Judge) -> None:
    with pytest.raises(Refused, match="unknown op"):
        judge.ask("shrug")
    with pytest.raises(Refused, match="unknown field"):
        judge.ask("evaluate", value="x", contxt={})

    assert judge.evaluate("${{ 1 + 1 }}") == 2
