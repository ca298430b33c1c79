"""The reward of Bittensor subnet 72 (StreetVision), from the rules of its validator.

natixnetwork/streetvision-subnet, ``natix/validator/reward.py`` and ``miner_performance_tracker.py``. Only the side of
one half counts, so the reward says nothing about calibration.
"""

from __future__ import annotations

import math

import numpy as np

from stage1_core.predictions import Boolean, Float, Integer

MCC_WINDOW = 100
"""Newest answers that the correlation is computed on."""
ACCURACY_WINDOW = 10
"""Newest answers that the accuracy is computed on."""
EXPONENT = 3.0
"""Of the reward curve: near the top, one point of the mean of correlation and accuracy is three of reward."""
NO_ANSWER = -1.0
"""What the validator notes where no answer came in time."""


def streetvision_reward(probability: Float, labels: Integer) -> float | None:
    """Reward of the newest of ``n`` answers, in [0, 1]; None without answers.

    ``probability`` is ``(n,)`` P(roadwork) as it was sent, oldest first, -1 where no answer came; ``labels`` ``(n,)``
    0/1. ((MCC of the last 100 + accuracy of the last 10) / 2)³, where the class is the probability rounded half to
    even, so that one half is a 0. Windows are cut first and answers of -1 dropped then. A negative MCC, and one of a
    single class, is 0. A window in which the validator's metrics would raise (a NaN, a third class) counts as 0. An
    answer outside of [0, 1] earns nothing.
    """
    if len(probability) == 0:
        return None
    newest = float(probability[-1])
    if newest < 0 or newest > 1:
        return 0.0
    correlation, _ = _window_metrics(probability[-MCC_WINDOW:], labels[-MCC_WINDOW:])
    _, accuracy = _window_metrics(probability[-ACCURACY_WINDOW:], labels[-ACCURACY_WINDOW:])
    return reward_of(correlation, accuracy)


def long_run_reward(probability: Float, labels: Integer) -> float | None:
    """Reward at the true positive and true negative rate of ``n`` rows, in [0, 1]; None where one class is missing.

    What the reward tends to when half of the pictures show roadwork, as the validator draws them, and the windows grow:
    an accuracy of (a + b) / 2 and an MCC of (a + b - 1) / sqrt(1 - (a - b)²) for the two rates a and b. The order and
    the shares of the classes of the rows do not matter, and nothing is drawn. Rewards of real windows scatter around
    it, and their mean lies a little off it, for 10 answers are few and the curve is bent.

    ``probability`` is ``(n,)`` in [0, 1], ``labels`` ``(n,)`` 0/1.
    """
    called_1, positive = np.round(probability) == 1, labels == 1
    if positive.all() or not positive.any():
        return None
    return reward_at_rates(float(called_1[positive].mean()), float((~called_1[~positive]).mean()))


def reward_at_rates(true_positive_rate: float, true_negative_rate: float) -> float:
    """The reward of an endless stream with balanced labels, in [0, 1]; both rates are fractions."""
    a, b = true_positive_rate, true_negative_rate
    one_class = (a, b) in ((1.0, 0.0), (0.0, 1.0))
    correlation = 0.0 if one_class else (a + b - 1) / math.sqrt(1 - (a - b) ** 2)
    return reward_of(max(0.0, correlation), (a + b) / 2)


def reward_of(correlation: float, accuracy: float) -> float:
    """The reward curve; both are in [0, 1]."""
    return float((0.5 * correlation + 0.5 * accuracy) ** EXPONENT)


def _window_metrics(probability: Float, labels: Integer) -> tuple[float, float]:
    """MCC, not below 0, and accuracy of one window; both 0 where nothing is left or the validator's metrics raise."""
    answered = probability != NO_ANSWER
    sent, labels = probability[answered], labels[answered]
    if len(sent) == 0 or not np.isfinite(sent).all():
        return 0.0, 0.0
    called = np.round(sent)
    classes = np.union1d(labels, called)
    # Its precision is that of class 1 among two classes: any other pair, and any third class, raises.
    if len(classes) > 2 or (len(classes) == 2 and 1 not in classes):
        return 0.0, 0.0
    return max(0.0, _correlation(called == 1, labels == 1)), float((called == labels).mean())


def _correlation(called: Boolean, true: Boolean) -> float:
    """Matthews' correlation of two ``(n,)`` masks, 0 where one of them is constant."""
    hits, misses = int((called & true).sum()), int((~called & true).sum())
    false_alarms, rest = int((called & ~true).sum()), int((~called & ~true).sum())
    scale = (hits + misses) * (false_alarms + rest) * (hits + false_alarms) * (misses + rest)
    return (hits * rest - misses * false_alarms) / math.sqrt(scale) if scale else 0.0
