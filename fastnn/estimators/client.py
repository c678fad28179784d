"""What becomes of an estimator's Dask client? It is shared by clones, and left out of pickles."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator


class HoldsClient(BaseEstimator):
    """An estimator with a parameter ``client``, which can neither be copied nor pickled."""

    client: Any

    def __sklearn_clone__(self) -> Any:
        client, self.client = self.client, None
        try:
            clone = super().__sklearn_clone__()
        finally:
            self.client = client
        clone.client = client
        return clone

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "client": None}
