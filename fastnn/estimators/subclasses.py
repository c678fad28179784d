"""What does a subclass get? Errors that name it, and a warning for what is never called."""

from __future__ import annotations

import warnings
from functools import update_wrapper
from types import FunctionType

# Private methods of scikit-learn's networks that people override, and that do not exist here.
# `_fit` is not among them: ours is called.
SKLEARN_HOOKS = frozenset(
    {
        "_backprop",
        "_check_solver",
        "_compute_loss_grad",
        "_fit_lbfgs",
        "_fit_stochastic",
        "_forward_pass",
        "_forward_pass_fast",
        "_init_coef",
        "_initialize",
        "_loss_grad_lbfgs",
        "_predict",
        "_score",
        "_score_with_function",
        "_unpack",
        "_update_no_improvement_count",
        "_validate_input",
    }
)


def warn_of_hooks(cls: type, root: type) -> None:
    """Warn if ``cls``, a subclass of ``root``, defines hooks that its bases of that kind do not."""
    hooks = _hooks(cls)
    for base in cls.__bases__:
        if issubclass(base, root):
            hooks -= _hooks(base)
    if hooks:
        warnings.warn(
            f"{cls.__name__} defines {', '.join(sorted(hooks))}, which fastnn never calls:"
            " scikit-learn's private methods do not exist here. What a layer puts out is given by"
            " hidden_activations(X), and fastnn.callbacks.watched_by shows every pass of a fit.",
            stacklevel=3,
        )


def _hooks(cls: type) -> set[str]:
    """The hooks that ``cls`` and its bases define, mixins included."""
    return {name for base in cls.__mro__ for name in SKLEARN_HOOKS & vars(base).keys()}


def name_constructor(cls: type) -> None:
    """Let errors of an inherited constructor name ``cls``: ``MLPClassifier.__init__() got ...``."""
    inherited = cls.__init__  # type: ignore[misc]
    if "__init__" in vars(cls) or not isinstance(inherited, FunctionType):
        return
    own = FunctionType(
        inherited.__code__,
        inherited.__globals__,
        argdefs=inherited.__defaults__,
        closure=inherited.__closure__,
    )
    own.__kwdefaults__ = inherited.__kwdefaults__
    update_wrapper(own, inherited).__qualname__ = f"{cls.__qualname__}.__init__"
    setattr(cls, "__init__", own)  # noqa: B010 - mypy forbids the plain assignment
