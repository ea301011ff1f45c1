"""The formulas of ONNX' LSTM, GRU and RNN, option by option, in numpy.

Written down from the operators' documentation, for the options that the reference evaluator of
the onnx package leaves out. Everything is laid out as in the standard, layout 0.
"""

import numpy as np

# Of what takes numbers, in the standard's words; the defaults where it has them.
FUNCTIONS = {
    "Relu": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Affine": lambda x, alpha, beta: alpha * x + beta,
    "LeakyRelu": lambda x, alpha=0.01: np.where(x >= 0, x, alpha * x),
    "ThresholdedRelu": lambda x, alpha=1.0: np.where(x >= alpha, x, 0),
    "ScaledTanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: np.minimum(np.maximum(alpha * x + beta, 0), 1),
    "Elu": lambda x, alpha=1.0: np.where(x >= 0, x, alpha * (np.exp(x) - 1)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Softplus": lambda x: np.log(1 + np.exp(x)),
}


def run(kind, x, weights, functions, *, directions=(False,), first=None, lengths=None, **options):
    """Y, and the last states by name.

    `weights` are W, R and perhaps B and P, `functions` a list of calls for each direction.
    """
    steps, rows, _ = x.shape
    lengths = [steps] * rows if lengths is None else lengths
    outputs, last = [], []
    for number, reverse in enumerate(directions):
        own = {name: value[number] for name, value in weights.items()}
        start = {name: value[number] for name, value in (first or {}).items()}
        output, states = one_direction(
            kind, x, own, functions[number], reverse, start, lengths, options
        )
        outputs.append(output)
        last.append(states)
    joined = {name: np.stack([states[name] for states in last]) for name in last[0]}
    return np.stack(outputs, 1), joined


def one_direction(kind, x, weights, functions, reverse, first, lengths, options):
    hidden = weights["R"].shape[1]
    output = np.zeros((*x.shape[:2], hidden), x.dtype)
    last = {}
    for row, length in enumerate(lengths):
        zero = np.zeros(hidden, x.dtype)
        states = {"h": first["h"][row] if "h" in first else zero}
        if kind == "LSTM":
            states["c"] = first["c"][row] if "c" in first else zero
        for step in range(length - 1, -1, -1) if reverse else range(length):
            states = STEPS[kind](x[step, row], states, weights, functions, **options)
            output[step, row] = states["h"]
        for name, value in states.items():
            last.setdefault(name, []).append(value)
    return output, {name: np.stack(values) for name, values in last.items()}


def parts(weights, gates):
    """W, R, Wb and Rb of each gate."""
    hidden = weights["R"].shape[1]
    bias = weights.get("B", np.zeros(2 * gates * hidden, weights["R"].dtype))
    return [
        *zip(
            np.split(weights["W"], gates),
            np.split(weights["R"], gates),
            np.split(bias[: gates * hidden], gates),
            np.split(bias[gates * hidden :], gates),
            strict=True,
        )
    ]


def clipped(function, clip):
    return function if clip is None else lambda value: function(np.clip(value, -clip, clip))


def lstm(x, states, weights, functions, *, clip=None, input_forget=0):
    f, g, h = (clipped(function, clip) for function in functions)
    old, memory = states["h"], states["c"]
    none = np.zeros(3 * len(memory), memory.dtype)
    p_i, p_o, p_f = np.split(weights.get("P", none), 3)
    sums = [w @ x + r @ old + wb + rb for w, r, wb, rb in parts(weights, 4)]
    i = f(sums[0] + p_i * memory)
    forget = 1 - i if input_forget else f(sums[2] + p_f * memory)
    memory = forget * memory + i * g(sums[3])
    o = f(sums[1] + p_o * memory)
    return {"h": o * h(memory), "c": memory}


def gru(x, states, weights, functions, *, clip=None, linear_before_reset=0):
    f, g = (clipped(function, clip) for function in functions)
    old = states["h"]
    (wz, rz, wbz, rbz), (wr, rr, wbr, rbr), (wh, rh, wbh, rbh) = parts(weights, 3)
    z = f(wz @ x + rz @ old + wbz + rbz)
    r = f(wr @ x + rr @ old + wbr + rbr)
    if linear_before_reset:
        new = g(wh @ x + r * (rh @ old + rbh) + wbh)
    else:
        new = g(wh @ x + rh @ (r * old) + rbh + wbh)
    return {"h": (1 - z) * new + z * old}


def rnn(x, states, weights, functions, *, clip=None):
    (f,) = (clipped(function, clip) for function in functions)
    ((w, r, wb, rb),) = parts(weights, 1)
    return {"h": f(w @ x + r @ states["h"] + wb + rb)}


STEPS = {"LSTM": lstm, "GRU": gru, "RNN": rnn}
