"""Many statistics of the same rows on the same resamples, with the work that they share done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from stage1_core.metrics.ranking import RankedStatistic, RankedWeights, Ranking
from stage1_core.metrics.resampling_weights import Counts, sums_over_units
from stage1_core.metrics.statistics import Combination, Statistic, WeightedSums
from stage1_core.predictions import Float, Integer

Evaluator = Callable[[Counts], dict[str, Float]]
"""``(b, clusters)`` weights to the ``(b,)`` values of each statistic."""


def reading_order(statistics: Mapping[str, Statistic], rows: int) -> Integer:
    """``(rows,)`` order in which weights are best drawn: that of the first ranking, for which they then lie ready."""
    rankings = (statistic.ranking.order for statistic in statistics.values() if isinstance(statistic, RankedStatistic))
    return next(rankings, np.arange(rows))


def evaluation_of(statistics: Mapping[str, Statistic], of_row: Integer, clusters: int) -> Evaluator:
    """One evaluation of all ``statistics`` on rows that belong to clusters ``(n,)`` ``of_row``."""
    sums: dict[str, WeightedSums] = {}
    rankings: list[tuple[Ranking, dict[str, RankedStatistic]]] = []
    combinations: dict[str, Combination] = {}
    others: dict[str, Statistic] = {}
    for name, statistic in statistics.items():
        if isinstance(statistic, WeightedSums):
            sums[name] = statistic
        elif isinstance(statistic, RankedStatistic):
            for ranking, together in rankings:
                if ranking.same_as(statistic.ranking):
                    together[name] = statistic
                    break
            else:
                rankings.append((statistic.ranking, {name: statistic}))
        elif isinstance(statistic, Combination):
            combinations[name] = statistic
        else:
            others[name] = statistic
    parts = [_of_sums(sums, of_row)] if sums else []
    parts += [_of_ranking(ranking, together, of_row, clusters) for ranking, together in rankings]
    parts += [_of_combinations(combinations, of_row, clusters)] if combinations else []
    parts += [_of_others(others, of_row)] if others else []

    def evaluate(weights: Counts) -> dict[str, Float]:
        values = {name: value for part in parts for name, value in part(weights).items()}
        return {name: values[name] for name in statistics}

    return evaluate


def _of_sums(statistics: dict[str, WeightedSums], of_row: Integer) -> Evaluator:
    """One matrix product for all different columns, each added up over the rows of a cluster beforehand."""
    numbers: dict[bytes, int] = {}
    places = {
        name: [numbers.setdefault(column.tobytes(), len(numbers)) for column in statistic.columns.T]
        for name, statistic in statistics.items()
    }
    columns = [np.bincount(of_row, weights=np.frombuffer(column)) for column in numbers]
    of_cluster: Float = np.stack(columns, axis=1)

    def evaluate(weights: Counts) -> dict[str, Float]:
        sums = sums_over_units(weights, of_cluster)
        return {name: statistic.of_sums(sums[:, places[name]]) for name, statistic in statistics.items()}

    return evaluate


def _of_ranking(ranking: Ranking, statistics: dict[str, RankedStatistic], of_row: Integer, clusters: int) -> Evaluator:
    """The weights are ranked once."""
    by_rank = of_row[ranking.order]
    in_order = np.array_equal(by_rank, np.arange(clusters))

    def evaluate(weights: Counts) -> dict[str, Float]:
        ranked = RankedWeights(ranking, weights if in_order else np.take(weights, by_rank, axis=1))
        return {name: statistic.of_ranked(ranked) for name, statistic in statistics.items()}

    return evaluate


def _of_combinations(statistics: dict[str, Combination], of_row: Integer, clusters: int) -> Evaluator:
    """What several of them are made of is evaluated once."""
    parts = {str(id(part)): part for statistic in statistics.values() for _, part in statistic.parts}
    evaluate_parts = evaluation_of(parts, of_row, clusters)

    def evaluate(weights: Counts) -> dict[str, Float]:
        values = evaluate_parts(weights)
        return {
            name: sum((factor * values[str(id(part))] for factor, part in statistic.parts), np.zeros(len(weights)))
            for name, statistic in statistics.items()
        }

    return evaluate


def _of_others(statistics: dict[str, Statistic], of_row: Integer) -> Evaluator:
    """Statistics of which nothing is known get weights of rows."""

    def evaluate(weights: Counts) -> dict[str, Float]:
        of_rows = np.take(weights, of_row, axis=1).astype(np.float64)
        return {name: statistic(of_rows) for name, statistic in statistics.items()}

    return evaluate
