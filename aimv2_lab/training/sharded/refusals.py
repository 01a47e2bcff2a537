"""What DeepSpeed refuses or passes over in a user's file, found before a run is begun and named by its key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from aimv2_lab.recipes import AnyRecipe
from aimv2_lab.training.sharded.config import deepspeed_config, users_settings

Result = TypeVar("Result")


def check_users_settings(recipe: AnyRecipe, ranks: int) -> None:
    """Raise ValueError with every setting of `engine.deepspeed` that DeepSpeed does not take or does not know.

    It reads each beside the recipe's own settings, then all together. Within a group it knows its keys itself; at the
    top level it passes over what it does not know, which here is refused.
    """
    if not recipe.engine.deepspeed:
        return
    whole = deepspeed_config(recipe, ranks)
    own = deepspeed_config(recipe.change({"engine.deepspeed": ""}), ranks)
    wrong = []
    for name in users_settings(recipe):
        alone = _Asked({**own, name: whole[name]})
        if reason := _refusal(alone):
            wrong.append(f"{name}: {reason}")
        elif name not in alone.names:
            wrong.append(f"{name}: DeepSpeed knows no such setting")
    if not wrong and (reason := _refusal(whole)):
        wrong.append(reason)
    if wrong:
        raise ValueError(f"engine.deepspeed = {recipe.engine.deepspeed!r} is refused by DeepSpeed: {'; '.join(wrong)}")


def refused_by_name(take_over: Callable[[], Result], recipe: AnyRecipe) -> Result:
    """Let DeepSpeed take a model over; what it refuses only then is a ValueError that names the user's file, if any."""
    try:
        return take_over()
    except (AssertionError, AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        if not recipe.engine.deepspeed:
            raise
        why = f"{type(error).__name__} {error}".strip()
        raise ValueError(
            f"DeepSpeed cannot do what engine.deepspeed = {recipe.engine.deepspeed!r} asks: {why}"
        ) from error


class _Asked(dict[str, Any]):
    """Settings that remember which of them were asked for, in copies too."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary's."""
        self.names.add(name)
        return super().get(name, default)


def _refusal(settings: dict[str, Any]) -> str:
    """What DeepSpeed has against its settings; empty where it takes them."""
    from deepspeed.runtime.config import DeepSpeedConfig
    from deepspeed.utils import logger

    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        DeepSpeedConfig(settings)
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"])), one["msg"], one["input"]) for one in error.errors()]
        return ", ".join(f"{key} = {value!r}: {message}" for key, message, value in found)
    except Exception as error:  # it refuses by assertions, and what it did not foresee fails in any way
        return f"{type(error).__name__}: {error}"
    finally:
        logger.setLevel(level)
    return ""
