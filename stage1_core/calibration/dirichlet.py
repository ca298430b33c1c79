"""Dirichlet calibration: a linear map of the log-probabilities, which can mend each class apart from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.linalg import helmert
from scipy.optimize import minimize
from scipy.special import log_softmax

from stage1_core.calibration.preconditions import require_usable_classes
from stage1_core.config import FrozenModel
from stage1_core.errors import CalibrationError
from stage1_core.predictions import Boolean, Float, Integer

Penalty = Annotated[float, Field(ge=0, le=1e6)]

_SETTLED = 1e-7
"""Largest gradient, by parameters that move the logits of the rows by about 1, at which the minimum is found."""

_SAYS_NOTHING = 1e-10
"""Curvature, in directions scaled to 1 each, below which neither rows nor penalties determine a mixture of them."""

_EQUAL_SLOPES = np.array([[[1.0, 0, 0], [0, 1, 0]], [[0, 0, -1], [0, 0, 1]]])
"""Directions of Platt scaling: both diagonal weights together, and the offset between the two classes."""


class DirichletCalibrator(FrozenModel):
    """P(class) = softmax(weights · ln p + offsets), where p is the softmax of the class logits.

    With two classes it never reorders: a higher margin of the class logits gives no lower one of the calibrated.
    """

    kind: Literal["dirichlet"] = "dirichlet"
    weights: Annotated[tuple[tuple[float, ...], ...], Field(min_length=2)]
    """k rows of k: row i turns the log-probabilities of all classes into the logit of class i."""
    offsets: tuple[float, ...]
    """k, in logits."""
    monotone_fallback: bool = False
    """Whether the fit would have reordered two classes, so that this is the best one with equal slopes for both."""

    def class_logits(self, logits: Float) -> Float:
        """``(n, k)`` calibrated logits of ``(n, k)`` class logits."""
        calibrated: Float = log_probabilities(logits) @ np.array(self.weights).T + np.array(self.offsets)
        return calibrated

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        classes = len(self.offsets)
        if [len(row) for row in self.weights] != [classes] * classes:
            raise ValueError(
                f"rows of {[len(row) for row in self.weights]} weights for {classes} offsets; give a square, and one "
                "offset for each row"
            )
        return self

    @model_validator(mode="after")
    def _keeps_the_order_of_two_classes(self) -> Self:
        if len(self.offsets) == 2 and not keeps_order(np.array(self.weights)):
            raise ValueError(
                f"the weights {self.weights} reorder: some higher margins become lower ones; use equal slopes for both "
                "classes, or temperature scaling"
            )
        return self


class DirichletConfig(FrozenModel):
    """Dirichlet calibration with ODIR (Kull et al., 2019): k² - 1 parameters, which for two classes are three.

    With two classes a zero off-diagonal reaches every map, so ODIR holds only the offset, and `identity_penalty`, which
    is ours, holds the slopes. The defaults weigh as much as believing beforehand in slopes of 1 ± 0.7 and, at 300 rows,
    an offset of 0 ± 1.5 between two classes: parameters stay finite on separable rows. Many rows outweigh the former;
    the weight of the latter is that of a mean cross-entropy, as its authors define it, and stays.
    """

    kind: Literal["dirichlet"] = "dirichlet"
    off_diagonal_penalty: Penalty = 3e-3
    """λ of the mean square of the off-diagonal weights; without effect where there are two classes."""
    offset_penalty: Penalty = 3e-3
    """μ of the mean square of the offsets."""
    identity_penalty: Penalty = 1.0
    """ρ of the sum of squared distances of the diagonal weights from 1, in rows: n rows divide it by n."""

    def fit(self, logits: Float, labels: Integer) -> DirichletCalibrator:
        """Weights W, offsets b of least mean cross-entropy + λ/(k(k-1)) Σ_{i≠j} W_ij² + μ/k Σ b² + ρ/n Σ (W_jj - 1)².

        ``logits`` are ``(n, k)``, ``labels`` ``(n,)`` from 0 to k - 1. Of all W that give the same probabilities it is
        the one whose off-diagonals sum to 0 in each column, which λ prefers to all others. Where the minimum for two
        classes would reorder, slopes are made equal: Platt scaling of the margin. (The bound of the maps that keep the
        order has a slope of 0 and would make all confident pictures of one class tie.) With penalties of 0 separable
        rows have no minimum, and the parameters are where the gradient has all but vanished.
        Raises `CalibrationError` for two classes whose logits rank the wrong way, logits that rank nothing and a class
        without rows, `PolicyError` for logits that are not finite, no rows, and labels out of range.
        """
        require_usable_classes(logits, labels)
        classes = logits.shape[1]
        objective = self.objective(logits, labels)
        parameters = _minimum(objective, _distinguishable(classes))
        if classes > 2 or keeps_order(parameters[:, :-1]):
            return _calibrator(parameters)
        parameters = _minimum(objective, _EQUAL_SLOPES)
        if parameters[0, 0] <= 0:
            raise CalibrationError(
                f"the fitted slope is {parameters[0, 0]:.3g}: the higher the logit of a class, the less often that "
                "class is the label; compare the order of the model's outputs with that of the labels"
            )
        return _calibrator(parameters, monotone_fallback=True)

    def objective(self, logits: Float, labels: Integer) -> Objective:
        """What `fit` minimises."""
        classes = logits.shape[1]
        penalties = np.full((classes, classes + 1), self.off_diagonal_penalty / (classes * (classes - 1)))
        np.fill_diagonal(penalties, self.identity_penalty / len(logits))
        penalties[:, -1] = self.offset_penalty / classes
        inputs = np.column_stack([log_probabilities(logits), np.ones(len(logits))])
        return Objective(inputs, labels[:, None] == np.arange(classes), penalties)


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """Mean cross-entropy plus penalties, a convex function of ``(k, k + 1)`` parameters: weights, then offsets."""

    inputs: Float
    """``(n, k + 1)``: log-probabilities, and a column of ones."""
    is_label: Boolean
    """``(n, k)``: one True in each row."""
    penalties: Float
    """``(k, k + 1)``: what the squared distance of each parameter from its value in the identity costs."""

    @property
    def identity(self) -> Float:
        """``(k, k + 1)`` parameters that change nothing."""
        return np.eye(*self.penalties.shape)

    def value_and_gradient(self, parameters: Float) -> tuple[float, Float]:
        """The value, and its ``(k, k + 1)`` derivatives."""
        log_q = log_softmax(self.inputs @ parameters.T, axis=1)
        away = parameters - self.identity
        value = -log_q[self.is_label].mean() + (self.penalties * away**2).sum()
        gradient = (np.exp(log_q) - self.is_label).T @ self.inputs / len(log_q) + 2 * self.penalties * away
        return float(value), gradient

    def curvature(self, parameters: Float) -> Float:
        """``(k (k + 1), k (k + 1))`` second derivatives by the flattened parameters."""
        q = np.exp(log_softmax(self.inputs @ parameters.T, axis=1))
        of_logits = q[:, :, None] * (np.eye(q.shape[1]) - q[:, None, :])
        blocks = np.einsum("nij,na,nb->iajb", of_logits, self.inputs, self.inputs, optimize=True) / len(q)
        curvature: Float = blocks.reshape(parameters.size, parameters.size) + np.diag(2 * self.penalties.ravel())
        return curvature


def log_probabilities(logits: Float) -> Float:
    """``(n, k)`` ln p of ``(n, k)`` logits: finite without clipping, since no p is computed that could round to 0."""
    log_p: Float = log_softmax(logits.astype(np.float64), axis=1)
    return log_p


def keeps_order(weights: Float) -> bool:
    """Whether ``(2, 2)`` weights give a margin that rises with that of the logits: neither slope negative, not both 0.

    The calibrated margin is slope₁ ln p₁ - slope₀ ln p₀ + offset, and ln p₁ rises with the margin while ln p₀ falls.
    """
    slopes = np.array([weights[0, 0] - weights[1, 0], weights[1, 1] - weights[0, 1]])
    return bool((slopes >= 0).all() and (slopes > 0).any())


def _calibrator(parameters: Float, *, monotone_fallback: bool = False) -> DirichletCalibrator:
    weights, offsets = parameters[:, :-1].tolist(), parameters[:, -1].tolist()
    return DirichletCalibrator(weights=weights, offsets=offsets, monotone_fallback=monotone_fallback)


def _distinguishable(classes: int) -> Float:
    """``(k² - 1, k, k + 1)`` directions to parameters of different probabilities.

    A number added to all weights of a column, or to all offsets, changes no probability. So off-diagonals of a column
    move with a sum of 0, as do offsets, and each diagonal weight moves freely.
    """
    found = np.zeros((classes + 1, classes - 1, classes, classes + 1))
    for column in range(classes):
        found[column, 0, column, column] = 1
        if classes > 2:
            found[column, 1:, np.arange(classes) != column, column] = helmert(classes - 1).T
    found[classes, :, :, classes] = helmert(classes)
    return found.reshape(-1, classes, classes + 1)


def _minimum(objective: Objective, directions: Float) -> Float:
    """``(k, k + 1)`` parameters of least value among those that ``(m, k, k + 1)`` directions reach from the identity.

    Steps are in units of the curvature at equal probabilities, where two classes have it largest, and start there: a
    model that is far too sure of itself has next to no curvature at the identity. Directions that neither rows nor
    penalties determine stay as in the identity.
    """
    identity, shape = objective.identity, objective.penalties.shape
    flat = directions.reshape(len(directions), -1)
    curvature_at_chance = flat @ objective.curvature(np.zeros(shape)) @ flat.T
    sizes = np.sqrt(curvature_at_chance.diagonal())
    units = np.divide(1, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    scale, axes = np.linalg.eigh(curvature_at_chance * np.outer(units, units))
    told = scale > _SAYS_NOTHING
    steps = (axes[:, told] / np.sqrt(scale[told])).T * units @ flat

    def at(position: Float) -> Float:
        parameters: Float = identity + (position @ steps).reshape(shape)
        return parameters

    def loss(position: Float) -> tuple[float, Float]:
        value, gradient = objective.value_and_gradient(at(position))
        return value, steps @ gradient.ravel()

    def curvature(position: Float) -> Float:
        found: Float = steps @ objective.curvature(at(position)) @ steps.T
        return found

    start = np.linalg.lstsq(steps.T, -identity.ravel())[0]
    return at(minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": _SETTLED}).x)
