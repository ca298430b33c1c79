"""README.md and MODEL_CARD.md of a bundle: how to use it, what it promises, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence

from stage1_core.acceptance import AcceptanceReport
from stage1_core.bundle.manifest import ReleaseConfig
from stage1_core.data.access_log import summarised
from stage1_core.data.split_summary import SplitCell, SplitSummary
from stage1_core.metrics.risk import RISKS
from stage1_core.policy import AnyPolicy, ScrcPolicy
from stage1_core.policy.certify import Certificate

VOID = "This bundle was changed and sealed again after its release: no certificate holds for it.\n\n"

_SYNTHETIC = """\
> **Rendered scenes prove machinery only.** The pictures behind this bundle were rendered, not photographed. Its numbers
> show that the pipeline works; they say nothing about streets.

"""

_RISK_WORDS = {
    "fnr_on_exited": "of the roadwork pictures that exit, the share that is called “no roadwork”",
    "exit_error": "of the pictures that exit, the share that is called wrong",
}


def certificate_in_words(policy: AnyPolicy) -> str:
    """What the policy promises, with the counts behind it; or that it promises nothing because nothing exits."""
    if policy.certificate is None:
        return f"Nothing exits: every picture goes to the second stage ({policy.no_exit_reason})."
    return _promise(policy.certificate)


def readme(release: ReleaseConfig, policy: AnyPolicy) -> str:
    """Inference instructions for Python and the command line."""
    return f"""\
# {release.name} {release.version}

{release.description}

Answers easy pictures at once ("exits") and sends the others on. {certificate_in_words(policy)}{_rest_in_words(policy)}

## Python

```python
from stage1_core.bundle.runtime import load_bundle

stage1 = load_bundle("path/to/this/folder", device="cpu")
for decision in stage1.decide(["street.jpg"]):
    if decision.exited:
        print(decision.label)  # 0: no roadwork, 1: roadwork
    else:
        {_for_the_rest(policy)}
```

`decide` takes paths, encoded bytes, PIL images and uint8 arrays of shape (height, width, 3). Loading verifies every
file and replays the golden pictures; it refuses a bundle that was changed.

## Command line

```sh
stage1 verify path/to/this/folder
stage1 predict path/to/this/folder pictures/ --output decisions.csv
```

Python needs the package `stage1-pro`; the versions that made this bundle are in `bundle.json`. The threshold is part
of the certificate: change it, and `verify` refuses the bundle. What it is good for and what not: `MODEL_CARD.md`.
"""


def model_card(
    release: ReleaseConfig,
    policy: AnyPolicy,
    splits: SplitSummary,
    acceptance: AcceptanceReport,
    *,
    backbone_name: str,
    synthetic: bool,
) -> str:
    """Data, certificate and limits in words."""
    looks = summarised(splits.openings)
    checks = "\n".join(
        f"| {row['check']} | {row['verdict']} | {row['evidence']} | {row['demand']} |" for row in acceptance.table()
    )
    return f"""\
# Model card: {release.name} {release.version}

{_SYNTHETIC if synthetic else ""}{release.description} A small head on {backbone_name}, and the policy `{policy.kind}`.
Pictures that exit: {policy.rule_in_words()}.

## What it promises

{certificate_in_words(policy)}{_rest_in_words(policy)}

The promise is about pictures that come from where the certifying pictures came from. It does not speak about single
sources, other cities, seasons or cameras, and not about pictures that do not exit.
{_method(policy)}
## Data

| split | source | no roadwork | roadwork | unlabeled |
|---|---|---|---|---|
{_data_rows(splits.cells)}

Groups (scenes, videos, near duplicates) never lie in two splits. Up to this release VAL_TEST was opened
{_times(looks.test_openings)}, and policies were certified on VAL_CALIB {_times(looks.certification_looks)}; together
the certificates spend {looks.delta_spent:.0%} probability of error. Ledger: `{splits.ledger_digest}`.

## Acceptance ({acceptance.phase}): {acceptance.verdict}

| check | verdict | evidence | demand |
|---|---|---|---|
{checks}

## Limits

- The certificate is void when threshold, weights or preprocessing change; the digests in `bundle.json` show it.
- Data drift voids it too, without any digest changing: monitor inputs and audit labelled samples.
- Probabilities are {_whose_probabilities(policy)}; only decisions are certified.
- `golden/` holds a few real input pictures for replay: mind their licence before publishing the bundle.
"""


def _rest_in_words(policy: AnyPolicy) -> str:
    """Who answers the other pictures, where that is not the second stage."""
    if policy.rest == "second_stage":
        return ""
    return " The other pictures are answered by stage B, an auxiliary output of the same head, without any promise."


def _for_the_rest(policy: AnyPolicy) -> str:
    """The line of the example that handles a picture which does not exit."""
    if policy.rest == "stage_b":
        return 'print("stage B, not certified:", decision.stage_b_label)'
    return 'print("ask the second stage", decision.probability)'


def _method(policy: AnyPolicy) -> str:
    """The section about what the method of the policy promises beside its certificate; empty where it has none."""
    if not isinstance(policy, ScrcPolicy):
        return ""
    found = policy.bounds
    return f"""
## What the method itself promises

For selected pictures, and with thresholds of its own: {found.in_words()}.
On the certifying rows these thresholds miss {found.misses} of {found.selected_positives} roadwork pictures that are
selected, and {found.misses} of the {found.exited_positives} among them that exit. This is no reason for the release;
the certificate above is.
"""


def _whose_probabilities(policy: AnyPolicy) -> str:
    if isinstance(policy, ScrcPolicy):
        return f"the model's, calibrated on {policy.calibration.fit_rows} {policy.order_split} rows"
    return "the model's"


def _promise(certificate: Certificate) -> str:
    constraint = certificate.constraint
    risk = _RISK_WORDS.get(constraint.risk, RISKS[constraint.risk].name)
    return (
        f"Certified at {constraint.confidence:.0%} confidence: {risk}, is at most {constraint.max_risk:.1%}. "
        f"Counted on rows never used for fitting ({constraint.counted_in_words}): "
        f"{certificate.events} of {certificate.trials}, exact upper bound {certificate.upper_bound:.2%}."
    )


def _data_rows(cells: Sequence[SplitCell]) -> str:
    return "\n".join(
        f"| {cell.split}{f' ({cell.half})' if cell.half else ''} | {cell.source} | {cell.negatives} | {cell.positives} "
        f"| {cell.unlabeled} |"
        for cell in cells
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
