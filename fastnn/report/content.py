"""What is said on the report's page? Plain data; nothing here knows HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn.report.assessment import ClassAssessment, ValueAssessment
from fastnn.search.quantities import COSTS


@dataclass
class Candidate:
    """One configuration that was tried.

    Attributes
    ----------
    key : int
        Its number.
    params : dict
        Its parameters.
    values, spreads : dict of str to float
        The mean of the score and of each cost, in the search's units, and how far they vary.
    on_front, chosen : bool
        Whether nothing beats it, and whether it is the chosen one.
    failed : str
        Why it failed, else "".
    """

    key: int
    params: dict[str, Any]
    values: dict[str, float]
    spreads: dict[str, float] = field(default_factory=dict)
    on_front: bool = False
    chosen: bool = False
    failed: str = ""


@dataclass
class ColumnBrief:
    """One column of the data.

    Attributes
    ----------
    name, kind : str
        What it is called, and whether it holds numbers or categories.
    missing : float
        The share of missing cells.
    words : str
        Its range, or its most frequent values.
    counts : ndarray of shape (n_bars,)
        For a tiny histogram.
    """

    name: str
    kind: str
    missing: float
    words: str
    counts: np.ndarray


@dataclass
class Content:
    """Everything the page says.

    Attributes
    ----------
    title, summary : str
        The data's name, and one sentence on the task.
    facts : list of (str, str)
        The data in brief, as terms and what holds for them.
    columns : list of ColumnBrief
        The columns in use.
    left_out : dict of str to str
        Columns that are not used, with the reason.
    candidates : list of Candidate
        Everything that was tried.
    objectives : list of str
        What the search traded off; the first cost among them is drawn first.
    score : str
        The name of the score.
    choice : str
        How the chosen model was picked, as a sentence.
    assessment : ClassAssessment or ValueAssessment
        The chosen model on rows it has not learned from.
    assessed_on : str
        Which rows those are, as a sentence.
    loss, validation : ndarray of shape (n_epochs,)
        The loss and, with early stopping, the validation score after each epoch; empty where the
        model has none.
    importances : list of (str, float, float)
        Columns with the mean fall of the score when shuffled, and its standard deviation.
    method : list of (str, str)
        How everything was measured, as terms and sentences.
    code : str
        A program that trains the chosen model again.
    validation_loss : ndarray of shape (n_epochs,)
        Of a bag, after each epoch.
    out_of_fold : (int, dict of str to float) or None
        Of a bag that was measured on other rows: how many of its training rows are answered by
        members that have not learned from them, and the metrics there.
    coverage : str
        What a bag's intervals or sets of classes hold, as a sentence; else "".
    """

    title: str
    summary: str
    facts: list[tuple[str, str]]
    columns: list[ColumnBrief]
    left_out: dict[str, str]
    candidates: list[Candidate]
    objectives: list[str]
    score: str
    choice: str
    assessment: ClassAssessment | ValueAssessment
    assessed_on: str
    loss: np.ndarray
    validation: np.ndarray
    importances: list[tuple[str, float, float]]
    method: list[tuple[str, str]]
    code: str
    validation_loss: np.ndarray = field(default_factory=lambda: np.zeros(0))
    out_of_fold: tuple[int, dict[str, float]] | None = None
    coverage: str = ""


def known_costs(candidates: Iterable[Candidate]) -> list[str]:
    """Return the costs that at least one candidate has, in the order of `COSTS`."""
    found = {name for c in candidates for name, value in c.values.items() if np.isfinite(value)}
    return [name for name in COSTS if name in found]
