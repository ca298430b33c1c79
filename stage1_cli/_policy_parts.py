"""Files of labelled predictions, as the parts that `stage1 fit-policy` fits on."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stage1_core.policy import AnyPolicyConfig
    from stage1_core.predictions import Predictions
    from stage1_core.splits import Purpose


def parts_of(
    config: AnyPolicyConfig,
    predictions: Path,
    *,
    files: Mapping[Purpose, Path | None],
    shares: Mapping[Purpose, float],
    seed: int,
) -> dict[Purpose, Predictions]:
    """Rows for each purpose that ``config`` is fitted on: those of ``files``, the others out of ``predictions``.

    Raises `Stage1Error` for a file that nothing needs, for two that hold the same rows, and for shares that leave none.
    """
    from stage1_core.data.predictions_table import read_predictions
    from stage1_core.errors import Stage1Error
    from stage1_core.policy.fitting import purposes
    from stage1_core.policy.parts import PART_NAMES, as_part, divided

    wanted = purposes(config)
    given = {purpose: path for purpose, path in files.items() if path is not None}
    for purpose in given:
        if purpose not in wanted:
            raise Stage1Error(f"a {config.kind} policy has nothing to {PART_NAMES[purpose]}; leave that file out")
    _require_different_files(predictions, *given.values())
    rows = read_predictions(predictions)
    cut = {purpose: Fraction(str(shares[purpose])) for purpose in wanted[:-1] if purpose not in given}
    rest = 1 - sum(cut.values(), Fraction(0))
    if rest <= 0:
        raise Stage1Error(f"shares of {float(1 - rest):g} in all leave no row to certify; make them smaller")
    parts = divided(rows, {**cut, config.certifies_on: rest}, seed=seed)
    numbering = {purpose: f"{PART_NAMES[purpose]} " for purpose in given}
    found = {purpose: read_predictions(path, numbered=numbering[purpose]) for purpose, path in given.items()}
    _require_different_rows(
        [(predictions, rows, ""), *((path, found[purpose], numbering[purpose]) for purpose, path in given.items())]
    )
    parts |= {purpose: as_part(part, purpose) for purpose, part in found.items()}
    return {purpose: parts[purpose] for purpose in wanted}


def _require_different_files(*paths: Path) -> None:
    from stage1_core.digests import digest_of_file
    from stage1_core.errors import Stage1Error

    contents: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            continue  # reading it says what is wrong
        twin = contents.setdefault(digest_of_file(path), path)
        if twin is not path:
            raise Stage1Error(f"{path} and {twin} are the same file twice; give rows that no other part has")


def _require_different_rows(read: list[tuple[Path, Predictions, str]]) -> None:
    """Ids tell the rows of two files apart; where one has none, its contents must. ``read`` says how it is numbered."""
    from stage1_cli._evaluation import note
    from stage1_core.policy.parts import require_contents_apart

    for (one, rows, numbering), (other, other_rows, other_numbering) in combinations(read, 2):
        if not _is_numbered(rows, numbering) and not _is_numbered(other_rows, other_numbering):
            continue
        if not require_contents_apart({str(one): rows, str(other): other_rows}):
            note(
                f"without ids in both, nobody can check that {one} and {other} hold different pictures: too few rows "
                "have scores of their own; add a column id"
            )


def _is_numbered(rows: Predictions, numbering: str) -> bool:
    """Whether the ids are what rows without ids are given. Ids that only count rows say no more."""
    import numpy as np

    return bool((rows.scores.ids == np.char.add(numbering, np.arange(1, len(rows) + 1).astype(np.str_))).all())
