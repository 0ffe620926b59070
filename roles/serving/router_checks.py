"""What serving proves of several models on a node.

To ask a model is to load it. So the further ones are asked before the first one, which then is loaded
afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bramble.checks import Finding, Node, check, expect, skip, unknown, worst
from bramble.roles.serving import router, tasks
from bramble.roles.serving.wanted import ServingPlan
from bramble.snapshot import Unknown

ONE = "model.also is empty: there is one model"


def _listed(plan: ServingPlan, node: Node, want: str) -> Mapping[str, Mapping[str, Any]] | Finding:
    """Return what the router says of its models, or what a check finds where it says nothing."""
    if not plan.further:
        return skip(want, ONE)
    answer = node.snapshot.answer(f"{plan.url}/models")
    if isinstance(answer, Unknown):
        return unknown(want, answer)
    listed = router.listed(answer)
    return expect(want, listed, False, tasks.JOURNAL) if isinstance(listed, str) else listed


@check()
def router_has_the_planned_models(plan: ServingPlan, node: Node) -> Finding:
    """The server offers the planned models and no others, and none of them failed."""
    want = f"{', '.join(plan.models)}, none failed"
    listed = _listed(plan, node, want)
    if isinstance(listed, Finding):
        return listed
    problems = [
        *(f"{name} is not there" for name in plan.models if name not in listed),
        *(f"{name} is not planned" for name in listed if name not in plan.models),
        *(f"{name} failed" for name in listed if router.state(listed[name]) == "failed"),
    ]
    got = ", ".join(f"{name} {router.state(one)}" for name, one in listed.items())
    remedy = (
        "What failed could not be loaded, or was ended; the next request loads it again. "
        f"`bramble model verify {node.plan.host}` reads the files back. What is not planned is in "
        f"llama-server's cache. {tasks.JOURNAL}"
    )
    return expect(want, "; ".join(problems) or got, not problems, remedy)


@check()
def further_models_answer(plan: ServingPlan, node: Node) -> Finding:
    """Each model beside the first one answers the inventory's question with what is expected of it."""
    if not plan.further:
        return skip("answers of further models", ONE)
    host, question = node.plan.host, plan.question
    return worst(
        {
            one.name: tasks.judged(
                one.task,
                question,
                node.ask(plan.url, question, one.task, one.name),
                one.setting,
                host,
            )
            for one in plan.further
        }
    )


@check(severity="warn")
def further_contexts_are_as_planned(plan: ServingPlan, node: Node) -> Finding:
    """Of several models, each that is loaded gives a conversation the planned context."""
    planned = plan.ctx_tokens // plan.slots
    want = f"{planned} tokens with each model"
    listed = _listed(plan, node, want)
    if isinstance(listed, Finding):
        return listed
    told = {name: router.context(one) for name, one in listed.items()}
    known = {name: tokens for name, tokens in told.items() if tokens is not None}
    if not known:
        return skip(want, "none of the models is loaded at this moment, and only those tell it")
    less = [name for name, tokens in known.items() if tokens < planned]
    got = ", ".join(f"{name} {tokens} tokens" for name, tokens in known.items())
    remedy = (
        "llama-server gives no more than a model was trained for, and takes memory for all of it: "
        f"shorten serving.ctx_tokens, or leave {', '.join(less)} out."
    )
    return expect(want, got, not less, remedy)
