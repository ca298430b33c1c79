"""What the calibrator of the classes did on rows that it never saw."""

from __future__ import annotations

from collections.abc import Callable

from stage1_core.policy import ScrcPolicy
from stage1_core.report.markup import Html, element, section, table
from stage1_core.report.wording import NUMBER_NAMES, four_decimals, percent


def class_calibration_section(policy: ScrcPolicy) -> Html:
    """Cross-entropy and calibration error of the likelier class, before and after."""
    found = policy.calibration
    rows = [
        [NUMBER_NAMES["nll"], _shown(found.nll_before, four_decimals), _shown(found.nll_after, four_decimals)],
        [NUMBER_NAMES["ece"], _shown(found.ece_before, percent), _shown(found.ece_after, percent)],
    ]
    fitted = (
        f"The {policy.class_calibrator.kind} calibrator was fitted on {found.fit_rows:,} {policy.order_split} rows, "
        "those that chose the model. The labels of exits, and the probabilities beside them, are its own."
    )
    caption = f"On the {found.rows:,} certifying rows, which the calibrator never saw"
    return section(
        "Calibration", element("p", fitted), table(caption, ["quantity", "before", "after"], rows, class_="numbers")
    )


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return "undefined (0 rows)" if value is None else show(value)
