"""What can a search weigh? One row for each quantity: label, unit, direction, measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Quantity:
    """One quantity that is measured of each candidate.

    Parameters
    ----------
    label : str
        What a reader reads.
    unit : str
        The base unit, such as "s" or "B".
    measured : str
        How it is measured. Fields in braces are filled in by `fastnn.search.results.measurements`.
    scale : float
        One of the stored value in the base unit: 1e-6 for microseconds.
    better : {"min", "max"}
    timed : bool
        Whether it depends on what else runs, and so is measured again, in isolation, for the front.
    in_search : bool
        Whether every candidate has it. If not, it is known of the front only and is no objective.
    unknown : str
        Why a model may lack it.
    """

    label: str
    unit: str
    measured: str
    scale: float = 1.0
    better: str = "min"
    timed: bool = False
    in_search: bool = True
    unknown: str = ""

    @property
    def stored_unit(self) -> str:
        """The unit of the stored value."""
        return {1.0: "", 1e-6: "µ"}[self.scale] + self.unit


QUANTITIES = {
    "score": Quantity(
        "score",
        "",
        "mean over {n_folds} folds; its spread is the standard deviation over them",
        better="max",
    ),
    "fit_time": Quantity(
        "fit time",
        "s",
        "wall seconds to fit the rows of a fold; {folds}; {fits}",
        timed=True,
    ),
    "cpu_time": Quantity(
        "CPU time of a fit",
        "s",
        "CPU seconds to fit the rows of a fold; {folds}; {fits}, all threads",
        timed=True,
    ),
    "latency_us": Quantity(
        "latency of one row",
        "s",
        "wall microseconds of predict on one row; {calls_in_search}; {calls}",
        scale=1e-6,
        timed=True,
        unknown="the model has no predict",
    ),
    "row_us": Quantity(
        "time per row in bulk",
        "s",
        "wall microseconds per row of predict on {bulk_rows} rows or fewer;"
        " {calls_in_search}; {calls}",
        scale=1e-6,
        timed=True,
        unknown="the model has no predict",
    ),
    "model_bytes": Quantity(
        "model size",
        "B",
        "length of the pickled fitted model, median over folds",
        unknown="the model cannot be pickled",
    ),
    "flops": Quantity(
        "work per prediction",
        "FLOP",
        "FLOPs of the network to predict one row, counted from its layers without preprocessing",
        unknown="the model holds no network",
    ),
    "flash_bytes": Quantity(
        "size in C",
        "B",
        "bytes of the constants of the model's C file, median over folds",
        unknown="the model cannot be exported to C",
    ),
    "flash_int8_bytes": Quantity(
        "size in C with int8 weights",
        "B",
        "bytes of the constants of the model's C file with int8 weights, median over folds",
        unknown="the model cannot be exported to C with int8 weights",
    ),
    "peak_bytes": Quantity(
        "peak memory of a fit",
        "B",
        "rise of the resident memory (without files' pages) during a fit, isolated in a process",
        timed=True,
        in_search=False,
    ),
    "energy_j": Quantity(
        "energy of a fit",
        "J",
        "joules of a fit; in search {estimate}; isolated as energy_source says",
        timed=True,
    ),
}


def described(name: str) -> Quantity:
    """The row of a quantity; a name that has none is that of a further score."""
    return QUANTITIES.get(name) or replace(QUANTITIES["score"], label=name.replace("_", " "))


COSTS = {name: row for name, row in QUANTITIES.items() if row.better == "min"}
