"""Update rules over five steps of given gradients, in NumPy, in CS231n's conventions; checked against torch.optim.

Two parameters, w [2, 3] and b [3]. Tensors of a case NAME:

    NAME/w, NAME/b                         before the first step
    NAME/step1/grad_w ..                   the gradients given to step 1, ..
    NAME/step1/w ..                        the parameters after step 1, ..
    NAME/step1/velocity_w, v_w, a_w ..     the rule's own arrays after step 1
    NAME/step1/learning_rate               only where it changes from step to step

The metadata of NAME hold the rule and its settings.
"""

import zlib

import numpy as np
import torch

from .recorder import Family

STEPS = 5


def sgd(w, g, s, t, lr):
    return w - lr * g


def momentum(w, g, s, t, lr, momentum=0.9):
    s["velocity"] = momentum * s.get("velocity", 0.0) - lr * g
    return w + s["velocity"]


def nesterov(w, g, s, t, lr, momentum=0.9):
    old = s.get("velocity", np.zeros_like(w))
    new = s["velocity"] = momentum * old - lr * g
    return w + new + momentum * (new - old)


def rmsprop(w, g, s, t, lr, decay=0.99, eps=1e-8):
    s["a"] = decay * s.get("a", 0.0) + (1 - decay) * g * g
    return w - lr * g / (np.sqrt(s["a"]) + eps)


def adam(w, g, s, t, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    s["v"] = beta1 * s.get("v", 0.0) + (1 - beta1) * g
    s["a"] = beta2 * s.get("a", 0.0) + (1 - beta2) * g * g
    return w - lr * (s["v"] / (1 - beta1**t)) / (np.sqrt(s["a"] / (1 - beta2**t)) + eps)


def accumulated_momentum(w, g, s, t, lr, momentum=0.9, nesterov=False):
    s["velocity"] = momentum * s.get("velocity", 0.0) + g
    return w - lr * (g + momentum * s["velocity"] if nesterov else s["velocity"])


def lamb(w, g, s, t, lr, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.0):
    """Algorithm 2 of You et al. (2020), with phi(z) = z. Not in torch.optim."""
    s["v"] = beta1 * s.get("v", 0.0) + (1 - beta1) * g
    s["a"] = beta2 * s.get("a", 0.0) + (1 - beta2) * g * g
    d = (s["v"] / (1 - beta1**t)) / (np.sqrt(s["a"] / (1 - beta2**t)) + eps) + weight_decay * w
    length, step = np.linalg.norm(w), np.linalg.norm(d)
    return w - lr * (length / step if length > 0 and step > 0 else 1.0) * d


RULES = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "rmsprop": rmsprop, "adam": adam,
         "accumulated_momentum": accumulated_momentum, "lamb": lamb}


def clip_by_global_norm(gradients, limit):
    """All scaled by limit / norm if their joint norm exceeds the limit. (PyTorch adds 1e-6 to the norm.)"""
    norm = np.sqrt(sum((g * g).sum() for g in gradients.values()))
    return {k: g * min(1.0, limit / norm) if norm > 0 else g for k, g in gradients.items()}


def torch_trajectory(rule, start, gradients, lr, coupled, decoupled, settings):
    names = {"beta1": None, "beta2": None, "decay": "alpha"}
    options = {names.get(k, k): v for k, v in settings.items() if names.get(k, k)}
    if rule == "adam":
        options["betas"] = (settings.get("beta1", 0.9), settings.get("beta2", 0.999))
    parameters = {k: torch.from_numpy(w.copy()).requires_grad_() for k, w in start.items()}
    options |= {"lr": lr[0] if isinstance(lr, list) else lr, "weight_decay": decoupled or coupled}
    if rule == "adam":
        optimizer = (torch.optim.AdamW if decoupled else torch.optim.Adam)(parameters.values(), **options)
    elif rule == "rmsprop":
        optimizer = torch.optim.RMSprop(parameters.values(), **options)
    else:
        if rule != "sgd":
            options.setdefault("momentum", 0.9)
        options.setdefault("nesterov", rule == "nesterov")
        optimizer = torch.optim.SGD(parameters.values(), **options)
    for step, rate in zip(gradients, lr if isinstance(lr, list) else [lr] * len(gradients)):
        optimizer.param_groups[0]["lr"] = rate
        for k, p in parameters.items():
            p.grad = torch.from_numpy(step[k].copy())
        optimizer.step()
        yield {k: p.detach().numpy().copy() for k, p in parameters.items()}


def record(cases, name, rule, lr=1e-2, coupled=0.0, decoupled=0.0, clip=None, rates=None, zero=False, zero_start=False,
           group=None, **settings):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    shapes = {"w": (2, 3), "b": (3,)}
    start = {k: rng.uniform(-1, 1, s) * (0.0 if zero_start else 1.0) for k, s in shapes.items()}
    gradients = [{k: rng.uniform(-1, 1, s) * (0.0 if zero else 1.0) for k, s in shapes.items()} for _ in range(STEPS)]
    attributes = {"rule": rule, "learning_rate": lr, **settings}
    if group:
        attributes["group"] = group
    for key, value in {"coupled_weight_decay": coupled, "decoupled_weight_decay": decoupled, "clip_norm": clip}.items():
        if value:
            attributes[key] = value
    cases.describe(name, attributes)

    parameters, state = dict(start), {k: {} for k in shapes}
    for k in shapes:
        cases.put(f"{name}/{k}", start[k])
    reference = None
    in_torch = rule != "lamb" and (rule == "adam" or not decoupled)
    # Where the rate changes, CS231n's velocities are others than PyTorch's.
    if in_torch and not (clip or group) and (not rates or rule == "accumulated_momentum"):
        reference = torch_trajectory(rule, start, gradients, rates or lr, coupled, decoupled, settings)
    for t, given in enumerate(gradients, 1):
        rate = rates[t - 1] if rates else lr
        if rates:
            cases.put(f"{name}/step{t}/learning_rate", np.float64(rate))
        used = clip_by_global_norm(given, clip) if clip else given
        for k in shapes:
            cases.put(f"{name}/step{t}/grad_{k}", given[k])
            old = parameters[k]
            own = group if group and group["pattern"] == k else {}
            own_rate, decay = rate * own.get("learning_rate_scale", 1.0), own.get("weight_decay")
            l2, shrink = (d if decay is None or not d else decay for d in (coupled, decoupled))
            if rule == "lamb":  # decays by itself, however decay is asked for
                new = lamb(old, used[k], state[k], t, own_rate, weight_decay=l2 + shrink, **settings)
                shrink = 0.0
            else:
                new = RULES[rule](old, used[k] + l2 * old, state[k], t, own_rate, **settings)
            parameters[k] = new - own_rate * shrink * old
            cases.put(f"{name}/step{t}/{k}", parameters[k])
            for array, values in state[k].items():
                cases.put(f"{name}/step{t}/{array}_{k}", values)
        if reference:
            for k, expected in next(reference).items():
                np.testing.assert_allclose(parameters[k], expected, rtol=1e-12, atol=1e-13, err_msg=f"{name} step {t}")


def family():
    cases = Family("optim")
    for rule in RULES:
        record(cases, f"{rule}/plain", rule)
        record(cases, f"{rule}/weight_decay", rule, coupled=0.1)
        record(cases, f"{rule}/decoupled_weight_decay", rule, decoupled=0.1)
        record(cases, f"{rule}/changing_rate", rule, rates=[1e-2, 9e-3, 5e-3, 1e-3, 0.0])
        record(cases, f"{rule}/clipped", rule, clip=0.9)
        record(cases, f"{rule}/zero_gradients", rule, zero=True)
        record(cases, f"{rule}/group", rule, decoupled=0.1,
               group={"pattern": "b", "learning_rate_scale": 0.25, "weight_decay": 0.0})
    record(cases, "momentum/momentum_0.5", "momentum", momentum=0.5)
    record(cases, "nesterov/momentum_0.99", "nesterov", momentum=0.99)
    record(cases, "rmsprop/decay_0.9", "rmsprop", decay=0.9, eps=1e-6)
    record(cases, "adam/betas", "adam", lr=1e-3, beta1=0.5, beta2=0.9, eps=1e-6)
    record(cases, "adam/clipped_and_decayed", "adam", clip=0.5, decoupled=0.05)
    record(cases, "sgd/clip_not_reached", "sgd", clip=100.0)
    record(cases, "accumulated_momentum/nesterov", "accumulated_momentum", momentum=0.85, nesterov=True)
    record(cases, "accumulated_momentum/nesterov_decayed", "accumulated_momentum", coupled=0.1, nesterov=True,
           rates=[1e-2, 9e-3, 5e-3, 1e-3, 0.0])
    record(cases, "lamb/betas", "lamb", lr=1e-1, decoupled=0.01, beta1=0.5, beta2=0.9, eps=1e-3)
    record(cases, "lamb/zero_weights", "lamb", decoupled=0.1, zero_start=True)
    return cases
