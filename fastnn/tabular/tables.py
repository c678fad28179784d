"""What is in a table, and how does it become numbers? Reads CSV and Parquet, recognises the task,
builds the preprocessing.

Everything a person can get wrong with a file is a `TableError` whose message names the file, the
column and the way out. What is learned from the training table is a `Schema`: plain data, saved
beside the model, by which later tables are put into the same columns, in the same order, with the
same types.
"""

from __future__ import annotations

import difflib
import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._optional import require

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("binary", "multiclass", "regression")

# A target of whole numbers is taken for classes when it has at most this many different values, and
# each in this many rows on average: ratings and codes are few and repeat, counts and prices do not.
# `--task` overrules it.
MAX_INTEGER_CLASSES = 20
MIN_ROWS_PER_INTEGER_CLASS = 5
# Text with more different values than this, and mostly different in every row, is a name or an
# identifier.
MAX_FREE_TEXT_VALUES = 20
# Numbers beyond this overflow when they are squared, as standardising them does.
LARGEST = 1e150

_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([ T].*)?"
)
_DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?")


class TableError(ValueError):
    """A table, a column or a cell that cannot be used; the message says which, why, and what to do about it."""


@dataclass(frozen=True)
class Schema:
    """What a training table taught about its columns: plain data, kept beside the model.

    Attributes
    ----------
    target : str
        The column to be predicted.
    task : str
        "binary", "multiclass" or "regression".
    reason : str
        Why it is that task, as half a sentence.
    integer_labels : bool
        Whether class labels are whole numbers, rather than text.
    numeric : list of str
        Columns used as numbers.
    categorical : dict of str to list of str
        Columns used as categories, each with the values seen.
    left_out : dict of str to str
        Columns that are not used, each with the reason.
    """

    target: str
    task: str
    reason: str
    integer_labels: bool
    numeric: list[str]
    categorical: dict[str, list[str]]
    left_out: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain dicts, lists and strings."""
        return asdict(self)

    @property
    def columns(self) -> list[str]:
        """The columns a model of this schema reads, in its order."""
        return [*self.numeric, *self.categorical]


# ---------------------------------------------------------------------------------------------------------------- reading


def read_table(
    path: str, *, sep: str | None = None, encoding: str = "utf-8", decimal: str = "."
) -> pd.DataFrame:
    """Read a CSV file (plain or gzipped) or a Parquet file, known by its content rather than its
    name.

    Parameters
    ----------
    path : str
        The file, or "-" for standard input.
    sep : str or None
        What stands between the cells of a CSV file; None takes the most frequent of ``, ; tab |`` in its first line.
    encoding : str
        The encoding of a CSV file.
    decimal : str
        What stands before the fraction of a number in a CSV file, "." or ",".

    Returns
    -------
    pandas.DataFrame
        At least one row and one column; column names are text and differ from each other.

    Raises
    ------
    TableError
        When there is no such file, or it is not a table with a header and at least one row.
    """
    pd = require("pandas")
    raw = _read_bytes(path)
    name = "standard input" if path == "-" else path
    if raw[:4] == b"PAR1":
        require("pyarrow")
        try:
            frame = pd.read_parquet(io.BytesIO(raw))
        except (OSError, ValueError) as error:
            raise TableError(
                f"{name} begins like a Parquet file but cannot be read as one: {error}"
            ) from error
        frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
        _refuse_repeated(name, list(frame.columns))
    else:
        frame = _read_csv(name, raw, sep, encoding, decimal)
    if not len(frame):
        raise TableError(
            f"{name} has no rows: a header of {frame.shape[1]} columns and nothing below it."
        )
    return frame.reset_index(drop=True)


def _read_bytes(path: str) -> bytes:
    """Return the bytes of a file, unzipped when they are gzip's."""
    if path == "-":
        raw = sys.stdin.buffer.read()
    elif Path(path).is_dir():
        raise TableError(
            f"{path} is a directory, not a file. Name the CSV or Parquet file inside it."
        )
    else:
        try:
            raw = Path(path).read_bytes()
        except FileNotFoundError as error:
            near = difflib.get_close_matches(Path(path).name, _names_beside(path), n=1)
            hint = f" Did you mean {Path(path).with_name(near[0])}?" if near else ""
            raise TableError(f"There is no file {path}.{hint}") from error
        except OSError as error:
            raise TableError(f"{path} cannot be read: {error.strerror}.") from error
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise TableError(f"{path} is gzip but damaged: {error}") from error
    return raw


def _names_beside(path: str) -> list[str]:
    folder = Path(path).parent
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _read_csv(name: str, raw: bytes, sep: str | None, encoding: str, decimal: str) -> pd.DataFrame:
    """Parse CSV text; ``name`` is what the messages call it."""
    pd = require("pandas")
    if b"\0" in raw[:100_000]:
        raise TableError(
            f"{name} is not text (it holds zero bytes), so it is no CSV file. fastnn reads CSV (plain or .gz) and Parquet."
        )
    try:
        text = raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError as error:
        raise TableError(
            f"Unknown encoding {encoding!r}; for example utf-8, latin-1 or cp1252."
        ) from error
    except UnicodeDecodeError as error:
        raise TableError(
            f"{name} is not {encoding} text: byte 0x{raw[error.start]:02x} at position {error.start}. "
            "If it is text in another encoding, say which, for example --encoding latin-1."
        ) from error
    first_line = text.lstrip("\r\n").partition("\n")[0]
    if not first_line.strip():
        raise TableError(
            f"{name} is empty. A table has a first line with the names of its columns, and rows below."
        )
    if sep is None:
        bare = re.sub(r'"[^"]*"', "", first_line)
        sep = max(",;\t|", key=bare.count)
    try:
        # The header is read by itself, since pandas renames repeated columns silently.
        header = pd.read_csv(
            io.StringIO(text), sep=sep, header=None, nrows=1, dtype=str, keep_default_na=False
        ).iloc[0]
        frame = pd.read_csv(
            io.StringIO(text),
            sep=sep,
            decimal=decimal,
            na_values=["?"],
            skipinitialspace=True,
            index_col=False,
        )
    except pd.errors.ParserError as error:
        detail = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise TableError(
            f"{name} is not a regular table: {detail} (cells are separated by {sep!r}; --sep changes that)."
        ) from error
    _refuse_repeated(name, [str(column).strip() for column in header])
    return frame.set_axis([str(column).strip() for column in frame.columns], axis=1)


def _refuse_repeated(name: str, columns: Sequence[str]) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise TableError(
            f"{name} has more than one column named {', '.join(map(repr, repeated))}; rename them."
        )


# ------------------------------------------------------------------------------------------------------------ recognising


def recognise(
    frame: pd.DataFrame,
    target: str,
    *,
    task: str | None = None,
    categorical: Iterable[str] = (),
    drop: Iterable[str] = (),
) -> Schema:
    """Decide the task and what each column is.

    Parameters
    ----------
    frame : pandas.DataFrame
        The training table.
    target : str
        The column to be predicted.
    task : str or None
        "binary", "multiclass" or "regression" to overrule what the target looks like.
    categorical : iterable of str
        Columns that are categories although they hold numbers.
    drop : iterable of str
        Columns to leave out.

    Returns
    -------
    Schema

    Raises
    ------
    TableError
        When a named column does not exist, the target cannot be learned, a column holds infinity, or none is left.
    """
    pd = require("pandas")
    categorical, drop = list(categorical), list(drop)
    for name in (target, *categorical, *drop):
        _find(frame, name)
    known = frame[frame[target].notna()]
    task, reason, integer_labels = _recognise_task(known[target], task)

    numeric: list[str] = []
    categories: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    for name in frame.columns:
        if name == target:
            continue
        column = known[name]
        why = "you asked for it" if name in drop else _why_useless(column)
        if why:
            left_out[name] = why
        elif name in categorical or not (
            pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
        ):
            text = _as_text(column)
            distinct = text.dropna().unique()
            if name not in categorical and len(distinct) > max(
                MAX_FREE_TEXT_VALUES, len(column) / 2
            ):
                left_out[name] = _why_free_text(name, text.dropna(), len(distinct))
            else:
                categories[name] = sorted(distinct)
        else:
            numeric.append(name)
    if not numeric and not categories:
        reasons = (
            "; ".join(f"{name!r}: {why}" for name, why in left_out.items())
            or "there is no other column"
        )
        raise TableError(f"Nothing is left to predict {target!r} from: {reasons}.")
    return Schema(target, task, reason, integer_labels, numeric, categories, left_out)


def _find(frame: pd.DataFrame, name: str) -> None:
    """Raise, naming the columns there are, unless ``name`` is one."""
    if name in frame.columns:
        return
    names = [str(column) for column in frame.columns]
    lower = {column.lower(): column for column in names}
    near = (
        [name.lower()]
        if name.lower() in lower
        else difflib.get_close_matches(name.lower(), lower, n=3)
    )
    meant = f" Did you mean {' or '.join(repr(lower[close]) for close in near)}?" if near else ""
    shown = ", ".join(map(repr, names[:30])) + (
        f" and {len(names) - 30} more" if len(names) > 30 else ""
    )
    raise TableError(f"There is no column {name!r}.{meant} The columns are: {shown}.")


def _recognise_task(y: pd.Series, task: str | None) -> tuple[str, str, bool]:
    """Return task, reason and whether labels are whole numbers, for a target without missing values."""
    pd = require("pandas")
    name, n_rows = y.name, len(y)
    if not n_rows:
        raise TableError(f"The target {name!r} is missing in every row.")
    if _holds_dates(y):
        raise TableError(
            f"The target {name!r} holds dates ({y.iloc[0]}). Turn it into a number first, such as days from a start."
        )
    distinct = y.astype(str).unique() if y.dtype == object else y.unique()
    n = len(distinct)
    if n == 1:
        kind = "value" if pd.api.types.is_float_dtype(y) else "class"
        raise TableError(
            f"The target {name!r} holds one {kind} only ({distinct[0]!s}) in all {n_rows} rows: nothing to learn."
        )
    is_number = pd.api.types.is_numeric_dtype(y) and not pd.api.types.is_bool_dtype(y)
    whole = is_number and bool(np.all(np.isfinite(y) & (np.mod(y, 1) == 0)))
    if is_number and not np.all(np.isfinite(y.to_numpy(dtype=float))):
        raise TableError(
            f"The target {name!r} holds infinity in {int(np.isinf(y.to_numpy(dtype=float)).sum())} rows."
        )

    if task == "regression":
        if not is_number:
            example = (
                next(value for value in y if not _is_number(value))
                if y.dtype != bool
                else y.iloc[0]
            )
            raise TableError(
                f"Regression needs a target of numbers, but {name!r} holds {str(example)!r}."
            )
        return task, "as asked for", False
    if task is not None:
        if (task == "binary") != (n == 2):
            raise TableError(
                f"The target {name!r} holds {n} different values, which is not a {task} task."
            )
        if is_number and not whole:
            raise TableError(
                f"The target {name!r} holds fractions such as {y[np.mod(y, 1) != 0].iloc[0]}: not classes."
            )
        return task, "as asked for", whole
    if is_number and not whole:
        return "regression", f"{name!r} holds numbers with fractions", False
    if is_number and n > 2 and (n > MAX_INTEGER_CLASSES or n * MIN_ROWS_PER_INTEGER_CLASS > n_rows):
        return "regression", f"{name!r} holds {n} different whole numbers", False
    if not is_number and n > max(MAX_FREE_TEXT_VALUES, n_rows / 2):
        raise TableError(
            f"The target {name!r} holds {n} different texts in {n_rows} rows (such as {str(distinct[0])!r}): "
            f"neither classes nor numbers{_decimal_hint(distinct)}."
        )
    kind = "whole numbers" if is_number else "values"
    way_out = "; --task regression if they are quantities" if is_number and n > 2 else ""
    return (
        ("binary" if n == 2 else "multiclass"),
        f"{name!r} holds {n} different {kind}{way_out}",
        whole,
    )


def _why_useless(column: pd.Series) -> str:
    """Return why a column cannot help, or an empty string."""
    present = column.dropna()
    if not len(present):
        return "every cell is missing"
    if not np.isscalar(present.iloc[0]) and not hasattr(present.iloc[0], "isoformat"):
        return f"its cells are of type {type(present.iloc[0]).__name__}"
    if _holds_dates(present):
        return f"it holds dates ({present.iloc[0]!s}); to use it, turn it into numbers first: year, month, days from a start"
    # A column that is one value or missing still says something: where it is missing.
    if present.astype(str).nunique() == 1 and len(present) == len(column):
        return f"it is constant ({present.iloc[0]!s} in every row)"
    return ""


def _why_free_text(name: str, text: pd.Series, n_distinct: int) -> str:
    """Return why a column of mostly different texts is left out: numbers with a few typing errors, or names."""
    odd = text[require("pandas").to_numeric(text, errors="coerce").isna()]
    if len(odd) < len(text) / 10:
        return f"it holds numbers, but also {odd.iloc[0]!r} (in {len(odd)} rows such cells); correct or empty them to use it"
    if hint := _decimal_hint(text):
        return f"it holds texts such as {text.iloc[0]!r}{hint}"
    return f"{n_distinct} different texts in {len(text)} rows, like names or identifiers (--categorical {name} keeps it)"


def _decimal_hint(texts: Iterable[object]) -> str:
    """Return the way out where most of the texts are numbers with a comma before their fraction, else nothing."""
    words = [str(text).strip() for text in texts]
    found = [word for word in words if _DECIMAL_COMMA.fullmatch(word)]
    looks_so = len(found) > len(words) / 2 and any("," in word for word in found)
    return "; if these are numbers with a decimal comma, say --decimal ," if looks_so else ""


def _holds_dates(column: pd.Series) -> bool:
    pd = require("pandas")
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if pd.api.types.is_numeric_dtype(column):
        return False
    sample = column.dropna().head(200)
    return len(sample) > 0 and all(
        hasattr(value, "isoformat") or _DATE.fullmatch(str(value).strip()) for value in sample
    )


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _as_text(column: pd.Series) -> pd.Series:
    """Return a column as text (object dtype), missing cells as NaN, and whole numbers without ".0"."""
    pd = require("pandas")
    present = column.notna()
    values = column[present]
    if pd.api.types.is_float_dtype(values) and np.all(
        (np.mod(values, 1) == 0) & (np.abs(values) < 2**53)
    ):
        values = values.astype("int64")
    text = pd.Series(np.nan, index=column.index, dtype=object, name=column.name)
    text[present] = values.astype(str).astype(object)
    return text


# ---------------------------------------------------------------------------------------------------------------- shaping


def features(
    schema: Schema, frame: pd.DataFrame, note: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """Put any table into the columns, order and types the model was trained on.

    Parameters
    ----------
    schema : Schema
        From the training table.
    frame : pandas.DataFrame
        A table with at least the schema's columns, in any order.
    note : callable
        Receives a sentence about everything that is ignored or unknown.

    Returns
    -------
    pandas.DataFrame of shape (n_rows, n_columns)
        Numeric columns as float64, then categories as text; missing cells are NaN.

    Raises
    ------
    TableError
        When columns are absent, a number is no number, or a cell is infinite.
    """
    pd = require("pandas")
    absent = [name for name in schema.columns if name not in frame.columns]
    if absent:
        lower = {
            str(column).lower(): str(column)
            for column in frame.columns
            if column not in schema.columns
        }
        near = {
            name: lower[close[0]]
            for name in absent
            if (close := difflib.get_close_matches(name.lower(), lower, n=1))
        }
        meant = "".join(f" Is {got!r} meant to be {name!r}?" for name, got in near.items())
        raise TableError(
            f"The model needs columns that are not there: {', '.join(map(repr, absent))}.{meant}"
        )
    extra = [
        str(name)
        for name in frame.columns
        if name not in {*schema.columns, *schema.left_out, schema.target}
    ]
    if extra:
        note(f"columns the model does not know are ignored: {', '.join(map(repr, extra))}")

    columns: dict[str, Any] = {}
    for name in schema.numeric:
        columns[name] = _as_numbers(frame[name])
    for name, seen in schema.categorical.items():
        columns[name] = text = _as_text(frame[name])
        unknown = text[text.notna() & ~text.isin(seen)]
        if len(unknown):
            shown = ", ".join(map(repr, unknown.unique()[:3]))
            note(
                f"column {name!r} holds values never seen in training ({shown}) in {len(unknown)} rows; they count as rare ones"
            )
    return pd.DataFrame(columns, index=frame.index)


def _as_numbers(column: pd.Series) -> pd.Series:
    pd = require("pandas")
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    bad = column[numbers.isna() & column.notna()]
    if len(bad):
        raise TableError(
            f"Column {column.name!r} is one of numbers, but holds {str(bad.iloc[0])!r} in row {bad.index[0] + 1}"
            + (f" (and {len(bad) - 1} more such cells)." if len(bad) > 1 else ".")
            + f" Correct these cells or empty them{_decimal_hint(bad)}; empty cells are allowed."
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        raise TableError(
            f"Column {column.name!r} holds infinity in {int(infinite.sum())} rows. "
            "Empty these cells: missing values are allowed, infinite ones are not."
        )
    if (most := numbers.abs().max()) > LARGEST:
        raise TableError(
            f"Column {column.name!r} holds numbers up to {most:.3g}, too large to be standardised; at most {LARGEST:g} are"
            " allowed. Scale the column, or take its logarithm."
        )
    return numbers


def targets(schema: Schema, frame: pd.DataFrame) -> np.ndarray:
    """Return the target column as numbers or class labels.

    Parameters
    ----------
    schema : Schema
        From the training table.
    frame : pandas.DataFrame
        A table with the target column, no cell of it missing.

    Returns
    -------
    ndarray of shape (n_rows,)
        float64 for regression; int64 or text labels otherwise.
    """
    _find(frame, schema.target)
    column = frame[schema.target]
    if column.isna().any():
        raise TableError(
            f"The target {schema.target!r} is missing in {int(column.isna().sum())} of {len(column)} rows."
        )
    if schema.task == "regression":
        return _as_numbers(column).to_numpy()
    labels = _as_text(column).to_numpy().astype(str)
    if schema.integer_labels:
        odd = next((label for label in labels if not re.fullmatch(r"-?\d+", label)), None)
        if odd is not None:
            raise TableError(
                f"The target {schema.target!r} had whole numbers as classes in training, but holds {str(odd)!r} here."
            )
        return labels.astype(np.int64)
    return labels


def with_known_target(
    frame: pd.DataFrame, target: str, note: Callable[[str], None]
) -> pd.DataFrame:
    """Return the rows whose target is known; ``note`` receives how many are not."""
    _find(frame, target)
    known = frame[target].notna()
    if known.all() or not known.any():
        return frame
    note(
        f"{int((~known).sum())} of {len(frame)} rows are left out: their target {target!r} is missing"
    )
    return frame[known].reset_index(drop=True)


def table_model(schema: Schema, estimator: Any) -> Any:
    """Return a pipeline from the schema's columns to the target: preprocessing, then ``estimator``.

    Numbers are imputed by the median, with an indicator where cells were missing, and standardised.
    Categories become one column each; rare and unknown ones share one. Regression targets are
    standardised and turned back.

    Parameters
    ----------
    schema : Schema
        What the columns are.
    estimator : estimator
        A classifier, or for the task "regression" a regressor.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps "columns" and "network"; reads what `features` returns.
    """
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts: list[tuple[str, Any, list[str]]] = []
    if schema.numeric:
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
        )
        parts.append(("numbers", numbers, schema.numeric))
    if schema.categorical:
        # 0.002: a category in fewer than one of 500 rows has too few examples for weights of its
        # own.
        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=0.002, sparse_output=False
        )
        categories = make_pipeline(
            SimpleImputer(strategy="constant", fill_value="(missing)"), one_hot
        )
        parts.append(("categories", categories, list(schema.categorical)))
    if schema.task == "regression":
        estimator = TransformedTargetRegressor(regressor=estimator, transformer=StandardScaler())
    return Pipeline([("columns", ColumnTransformer(parts)), ("network", estimator)])
