"""Whether a network by name, or of one's own, is one that can be trained: asked in a process with the recipe's backend.

Run as `python -m tamesu.learners.keras_check`, it reads a question as JSON and prints the sentences as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tamesu.config import ModelConfig
from tamesu.nets.shapes import Head, InputShape
from tamesu.texts import language, say, use_language

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

N_ROWS = 256  # from which the shapes of what goes in are taken
TIMEOUT_S = 300
ANSWER = "tamesu-answer:"  # what comes before the answer, on the last line: the user's module may print


def network_mistakes(recipe: Recipe, dataset: Dataset) -> list[str]:
    """What is wrong with the recipe's network, one sentence each; the built-in one needs no asking."""
    if recipe.model.backbone == "tiny":
        return []
    question = question_of(recipe, dataset)
    environment = os.environ | {
        "KERAS_BACKEND": recipe.model.backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", "tamesu.learners.keras_check"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question), capture_output=True, text=True, env=environment, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [say("model.backbone: {name} does not answer within {s} s", name=recipe.model.backbone, s=TIMEOUT_S)]
    answers = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
    if done.returncode or not answers:
        last = (done.stderr.strip().splitlines() or [str(done.returncode)])[-1]
        return [say("model.backbone: {name} could not be built: {error}", name=recipe.model.backbone, error=last)]
    found: list[str] = json.loads(answers[-1].removeprefix(ANSWER))
    return found


def question_of(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """Model, shapes and heads as plain values."""
    from tamesu.learners.network import prepare
    from tamesu.learners.network_inputs import head_of

    ready = prepare(dataset.take(slice(0, N_ROWS)), recipe)
    weights = "none" if recipe.model.weights == "hub" else recipe.model.weights
    return {
        "model": recipe.model.model_copy(update={"weights": weights}).model_dump(mode="json"),
        "shape": ready.shape.to_json(),
        "heads": {name: asdict(head_of(target, recipe.size)) for name, target in ready.targets.items()},
        "language": language(),
    }


def main() -> None:
    """Answers one question."""
    question = json.load(sys.stdin)
    use_language(question["language"])
    from tamesu.knets.network import check_network

    heads = {name: Head(**one | {"size": tuple(one["size"])}) for name, one in question["heads"].items()}
    found = check_network(ModelConfig(**question["model"]), InputShape.from_json(question["shape"]), heads)
    print(ANSWER + json.dumps(found))


if __name__ == "__main__":
    main()
