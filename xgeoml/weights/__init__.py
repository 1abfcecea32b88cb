"""Trained parameters: where they are, whether they are what they claim to be, and their cards.

``fetch``, ``list``, ``verify``, ``clear`` and ``info`` are what a user needs; `locate` is what
``weights=`` goes through.
"""

from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.manage import clear, fetch, info, list, verify  # noqa: A004
from xgeoml.weights.store import locate

__all__ = [
    "Card",
    "SkillRow",
    "TrainingData",
    "clear",
    "fetch",
    "info",
    "list",
    "locate",
    "verify",
]
