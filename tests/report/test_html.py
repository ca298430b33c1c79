from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stage1_core.acceptance import AcceptanceReport, FactCheck, Verdict
from stage1_core.errors import Stage1Error
from stage1_core.report.contents import ReportContents
from stage1_core.report.figures.calibration import reliability
from stage1_core.report.figures.canvas import png_bytes
from stage1_core.report.figures.ranking import risk_coverage
from stage1_core.report.figures.sweep import certificate_sweep
from stage1_core.report.html import release_report
from stage1_core.report.page import LARGEST_BYTES
from stage1_core.report.wording import percent, seen
from tests.report import toys
from tests.report.page_reader import Page

HOSTILE = "<script>alert('x')</script> \" onload=\"evil()"


@pytest.fixture(scope="module")
def contents(make_rows, certified, constraint):
    rows = make_rows(400)
    return ReportContents(
        title="release candidate",
        acceptance=toys.acceptance(Verdict.PASS),
        evaluation=toys.measure(certified, rows).evaluation,
        policy=certified,
        constraint=constraint,
        data_summary={"seed": 7, "splits": {"train": {"rows": 4000}, "val_test": {"rows": 400}}},
        figures={"certificate_sweep": png_bytes(certificate_sweep(certified, constraint))},
        provenance={"bundle digest": "ab" * 32, "config": '{\n  "seed": 7\n}'},
        synthetic=False,
        val_test_openings=1,
    )


@pytest.fixture(scope="module")
def gate_contents(gate, make_gated_rows):
    """A gate that was adopted: every section of the page has something to say."""
    return toys.contents(gate, make_gated_rows(300), Verdict.PASS, compared=True)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_page_opens_with_the_verdict(contents, verdict):
    text = Page(release_report(replace(contents, acceptance=toys.acceptance(verdict)))).text
    word = verdict.value.replace("_", " ")
    assert text.index("May this be released?") < text.index(word) < text.index("Why") < text.index("Limits")
    behind = text[text.index("Limits") :]
    order = ["Fixed-sequence test", "Intervals are two-sided", "Certificate sweep", "Splits", "What this was made from"]
    assert sorted(order, key=behind.index) == order


def test_checks_that_did_not_pass_come_first(contents):
    text = Page(release_report(replace(contents, acceptance=toys.acceptance(Verdict.FAIL)))).text
    failed, passed = "accuracy ✕ FAIL 0.5 (n = 400) ≥ 0.9", "decides the same ✓ PASS 30 files, all as sealed holds"
    assert text.index(failed) < text.index(passed)


def test_a_report_without_checks_does_not_claim_anything(contents):
    text = Page(release_report(replace(contents, acceptance=AcceptanceReport.of("baseline", ())))).text
    assert "INSUFFICIENT EVIDENCE" in text
    assert "No check was made, so nothing is proven." in text


def test_nothing_is_fetched_and_nothing_runs(contents):
    source = release_report(contents)
    page = Page(source)
    links = [value for _, name, value in page.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert links
    anchors = {f"#{value}" for _, name, value in page.attributes if name == "id"}
    assert all(link.startswith("data:image/png;base64,") or link in anchors for link in links)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert "http://" not in source
    assert "https://" not in source
    assert "url(" not in source


def test_hostile_names_stay_text(contents, make_rows, certified):
    rows = make_rows(60)
    evil = replace(rows, sources=np.full(len(rows), HOSTILE))
    check = FactCheck(name=HOSTILE, holds=True, evidence=HOSTILE)
    page = Page(
        release_report(
            replace(
                contents,
                title=HOSTILE,
                acceptance=AcceptanceReport.of(HOSTILE, (check,)),
                evaluation=toys.measure(certified, evil).evaluation,
                data_summary={HOSTILE: HOSTILE, "nested": {HOSTILE: {HOSTILE: HOSTILE}}},
                figures={HOSTILE: reliability(rows)},
                provenance={HOSTILE: HOSTILE, "long": f"{HOSTILE}\n{HOSTILE}"},
            )
        )
    )
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("alert('x')") >= 12


def test_the_limits_name_exchangeability_confidence_and_openings(contents):
    text = Page(release_report(contents)).text
    assert "holds for rows exchangeable with the calibration rows" in text
    assert "90 % belongs to the procedure" in text
    assert "Opened once" in text


@pytest.mark.parametrize(("openings", "words"), [(None, "unknown"), (0, "Never opened"), (5, "Opened 5 times")])
def test_openings_of_the_test_rows_are_told_as_they_are(contents, openings, words):
    assert words in Page(release_report(replace(contents, val_test_openings=openings))).text


@pytest.mark.parametrize("synthetic", [True, False])
def test_rendered_scenes_are_warned_of_and_photographs_are_not(contents, synthetic):
    assert ("Rendered scenes." in Page(release_report(replace(contents, synthetic=synthetic))).text) is synthetic


def test_a_policy_without_exits_is_reported_with_undefined_rates(contents, no_exit, make_rows):
    rows = make_rows(200)
    figures = {"risk_coverage": risk_coverage(rows, no_exit)}
    evaluation = toys.measure(no_exit, rows).evaluation
    text = Page(release_report(replace(contents, policy=no_exit, figures=figures, evaluation=evaluation))).text
    assert "Nothing is certified: every picture goes on to the second stage." in text
    assert no_exit.shortfall.message in text
    assert "FNR on exited 0 / 0 undefined (0 trials) undefined undefined" in text
    assert "Promise, at" not in text


def test_every_rate_comes_with_its_count_and_bounds(contents):
    text = Page(release_report(contents)).text
    risk = contents.evaluation.exits.fnr_on_exited
    assert f"FNR on exited {risk.events} / {risk.trials} " in text
    certificate = contents.policy.certificate
    assert f"({certificate.events} of {certificate.trials})" in text
    assert certificate.rows_digest in text


def test_numbers_that_need_two_classes_are_undefined_with_one(contents, certified, make_rows):
    rows = make_rows(100)
    one = rows.take(rows.labels == 0)
    text = Page(release_report(replace(contents, evaluation=toys.measure(certified, one).evaluation))).text
    assert "undefined (one class)" in text


def test_an_evaluation_of_no_rows_is_undefined_everywhere(contents, certified, make_rows):
    text = Page(release_report(replace(contents, evaluation=toys.measure(certified, make_rows(0)).evaluation))).text
    assert "coverage 0 / 0 undefined (0 trials)" in text
    assert "undefined (0 rows)" in text


def test_every_number_comes_with_its_resampled_interval(contents):
    text = Page(release_report(contents)).text
    intervals = contents.evaluation.intervals
    nll = intervals["nll"]
    shown = [nll.value, nll.mean, nll.std, nll.lower, nll.upper]
    assert f"NLL (nats) {' '.join(f'{value:.4f}' for value in shown)} {nll.method} {nll.resamples}" in text
    risk = intervals["risk_at_coverage_0.8"]
    assert f"80 % {percent(risk.value)} {percent(risk.mean)} {percent(risk.std)}" in text
    kept = intervals["coverage_at_risk_0.05"]
    assert f"5 % {percent(kept.value)} {percent(kept.mean)} {percent(kept.std)}" in text


def test_a_gate_is_reported_with_its_rule_cascade_transforms_and_comparison(gate_contents):
    text = Page(release_report(gate_contents)).text
    assert f"rule {gate_contents.policy.rule_in_words()}" in text
    together = gate_contents.evaluation.cascade.together
    assert f"together {seen(together.answered.events, together.answered.trials)}" in text
    for tried in gate_contents.transforms:
        assert f"{tried.transform} {tried.model.rows} {percent(tried.model.accuracy)}" in text
    assert "Measured on the rows that the model was selected on" in text
    assert "The gate is adopted in place of softmax. Coverage +" in text


def test_a_policy_with_two_thresholds_is_reported_with_its_method_and_its_calibration(scrc, make_gated_rows):
    text = Page(release_report(toys.contents(scrc, make_gated_rows(300), Verdict.PASS))).text
    behind = text[text.index("Limits") :]
    order = ["Fixed-sequence test", "In expectation, of selected rows", "On the 1,500 certifying rows", "Intervals are"]
    assert sorted(order, key=behind.index) == order
    assert "levels differ in threshold λ₁ on P(stage A is right)" in text
    assert f"rule {scrc.rule_in_words()}" in text
    for caption in ("Exit region", "Roadwork reliability"):
        assert caption in text


def test_what_was_not_tried_has_no_section(contents):
    text = Page(release_report(contents)).text
    for heading in (
        "Cascade",
        "Other picture geometries",
        "Comparison",
        "AUGRC by gate",
        "the method itself",
        "Calibration",
    ):
        assert heading not in text


def test_a_gate_that_may_not_be_released_is_not_said_to_be_adopted(gate_contents):
    rejected = replace(gate_contents, acceptance=toys.acceptance(Verdict.INSUFFICIENT_EVIDENCE))
    assert "The gate is not adopted in place of softmax." in Page(release_report(rejected)).text


def test_the_streetvision_reward_is_shown_where_it_is_defined(contents, certified, make_rows):
    reward = contents.evaluation.subnet_reward
    assert f"StreetVision reward {reward:.4f}" in Page(release_report(contents)).text
    rows = make_rows(100)
    one = toys.measure(certified, rows.take(rows.labels == 0)).evaluation
    assert "StreetVision reward" not in Page(release_report(replace(contents, evaluation=one))).text


def test_a_missing_evaluation_is_said_to_be_missing(contents):
    assert "No evaluation was made" in Page(release_report(replace(contents, evaluation=None))).text


def test_figures_have_the_alternative_text_of_their_description(contents, certified):
    figure = certificate_sweep(certified, contents.constraint)
    for picture in (figure, png_bytes(figure)):
        page = Page(release_report(replace(contents, figures={"certificate_sweep": picture})))
        assert ("img", "alt", figure.get_label()) in page.attributes


def test_the_same_contents_give_the_same_page(contents):
    assert release_report(contents) == release_report(contents)


def test_a_full_report_is_far_below_the_size_limit(contents, certified, make_rows):
    rows = make_rows(400)
    figures = {**contents.figures, "reliability": reliability(rows), "risk_coverage": risk_coverage(rows, certified)}
    assert len(release_report(replace(contents, figures=figures)).encode()) < LARGEST_BYTES / 3


def test_a_page_beyond_the_size_limit_is_refused_and_the_figures_are_weighed(contents):
    png = contents.figures["certificate_sweep"] + bytes(LARGEST_BYTES)
    with pytest.raises(Stage1Error, match=r"at most 3,000,000 are allowed.*huge 3,"):
        release_report(replace(contents, figures={"huge": png}))


def test_bytes_that_are_no_png_are_refused(contents):
    with pytest.raises(Stage1Error, match="figure scan is no PNG"):
        release_report(replace(contents, figures={"scan": b"GIF89a"}))


def test_a_promise_other_than_the_certified_one_is_refused(contents):
    with pytest.raises(Stage1Error, match="pass the constraint that the policy was fitted for"):
        replace(contents, constraint=contents.constraint.model_copy(update={"max_risk": 0.01}))


def test_a_negative_count_of_openings_is_refused(contents):
    with pytest.raises(Stage1Error, match="val_test_openings is -1"):
        replace(contents, val_test_openings=-1)


def test_an_exit_error_promise_is_worded_as_one(contents):
    constraint = contents.constraint.model_copy(update={"risk": "exit_error", "max_exit_error": 0.05})
    certificate = contents.policy.certificate.model_copy(update={"constraint": constraint})
    policy = contents.policy.model_copy(update={"certificate": certificate})
    text = Page(release_report(replace(contents, policy=policy, constraint=constraint))).text
    assert "Of the pictures that exit, at most 2 % are called wrong." in text
    assert "guard on exit error at most 5 %" in text
