"""The squashing functions of ONNX' recurrent operators, and the numbers that they take."""

from __future__ import annotations

from collections.abc import Sequence

from cellwright.errors import SettingError, did_you_mean
from cellwright.exchange.activations import Activation

__all__ = ["read_activations"]

# By the standard's name: ours, and the defaults of alpha and beta where it takes them. Those
# of Affine and ScaledTanh would be the defaults of operators that the standard no longer has.
_KNOWN: dict[str, tuple[str, dict[str, float | None]]] = {
    "Relu": ("relu", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "Affine": ("line", {"alpha": None, "beta": None}),
    "LeakyRelu": ("leaky_relu", {"alpha": 0.01}),
    "ThresholdedRelu": ("thresholded_relu", {"alpha": 1.0}),
    "ScaledTanh": ("scaled_tanh", {"alpha": None, "beta": None}),
    "HardSigmoid": ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}),
    "Elu": ("elu", {"alpha": 1.0}),
    "Softsign": ("softsign", {}),
    "Softplus": ("softplus", {}),
}
_BY_LOWER_CASE = {name.lower(): name for name in _KNOWN}


def read_activations(
    where: str, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Activation]:
    """The functions with their numbers.

    Parameters
    ----------
    where
        What the user calls the node.
    names
        The functions of all directions, one after the other.
    alphas, betas
        What the functions that take such a number take, in their order; defaults where these
        end.

    Raises
    ------
    SettingError
        There is no such function, it lacks a number that has no default, or it is not clear
        which number belongs to which.
    """
    known = [_known(where, name) for name in names]
    numbers = {
        "alpha": _given_out(where, "alpha", known, alphas),
        "beta": _given_out(where, "beta", known, betas),
    }
    found = []
    for position, name in enumerate(known):
        ours, takes = _KNOWN[name]
        values = []
        for kind in takes:
            value = numbers[kind][position]
            if value is None:
                raise SettingError(
                    f"{where}: activations={[*names]} with {name}, for which activation_{kind} "
                    f"has no default; the node must give it"
                )
            values.append(value)
        found.append(Activation(ours, tuple(values)))
    return found


def _known(where: str, name: str) -> str:
    if name.lower() not in _BY_LOWER_CASE:
        raise SettingError(
            f"{where}: activations has {name!r}, which is none of the operator's: "
            f"{', '.join(_KNOWN)}.{did_you_mean(name, _KNOWN)}"
        )
    return _BY_LOWER_CASE[name.lower()]


def _given_out(
    where: str, kind: str, names: Sequence[str], given: Sequence[float]
) -> dict[int, float | None]:
    """For each function that takes a number of this kind, by position: which one."""
    taking = [position for position, name in enumerate(names) if kind in _KNOWN[name][1]]
    values = {position: _KNOWN[names[position]][1][kind] for position in taking}
    in_turn: dict[int, float | None] = dict(zip(taking, given, strict=False))
    if len(given) > len(taking):
        # Some writers give every function one, needed or not; others mean the first ones.
        by_place = {position: given[position] for position in taking if position < len(given)}
        if len(given) != len(names) or by_place != in_turn:
            raise SettingError(
                f"{where}: activation_{kind}={[*given]} for activations={[*names]}, of which "
                f"{len(taking)} take one; it is not clear which belongs to which"
            )
    return values | in_turn
