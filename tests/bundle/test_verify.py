from __future__ import annotations

import dataclasses

from stage1_core.acceptance import AcceptanceReport, FactCheck
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.verify import VerificationReport, verify_bundle


def test_a_released_bundle_passes_every_check(released):
    report = verify_bundle(released)
    assert report.passed, report.summary()
    assert [check.name for check in report.checks] == [
        "manifest",
        "files are exactly those listed",
        "contents are those sealed",
        "JSON files keep their schemas",
        "one policy of a known kind",
        "certificate",
        "evidence is of this split and accepted",
        "golden pictures are decided as released",
    ]


def test_a_report_without_checks_does_not_pass():
    assert not VerificationReport(bundle="x", checks=()).passed


def test_all_faults_of_the_files_are_named_at_once(bundle):
    (bundle / "extra.txt").write_text("")
    (bundle / "metrics.csv").write_text("other")
    summary = verify_bundle(bundle).summary()
    assert "extra.txt" in summary
    assert "metrics.csv" in summary


def test_a_bundle_whose_phase_was_not_accepted_does_not_pass(contents, tmp_path):
    report = AcceptanceReport.of("baseline", (FactCheck(name="toy", holds=False, evidence="seen not to"),))
    release_bundle(dataclasses.replace(contents, acceptance=report), tmp_path / "bundle")
    failed = [check for check in verify_bundle(tmp_path / "bundle").checks if not check.holds]
    assert [check.name for check in failed] == ["evidence is of this split and accepted"]
    assert "seen not to" in failed[0].evidence


def test_a_folder_that_does_not_exist_fails_and_does_not_raise(tmp_path):
    assert not verify_bundle(tmp_path / "absent").passed
