"""Losses. Labels are i64."""

import numpy as np
import torch
import torch.nn.functional as F

from .recorder import Family, f64, i64, integers, signed


def hinge(scores, labels, margin=1.0):
    """CS231n's svm_loss: the mean over the batch of sum over j != y of max(0, s_j - s_y + 1)."""
    right = scores.gather(1, labels.unsqueeze(1))
    margins = torch.relu(scores - right + margin)
    return (margins * (1 - F.one_hot(labels, scores.shape[1]))).sum() / len(labels)


def family():
    cases = Family("loss")
    plain = F.cross_entropy
    cross = "softmax_cross_entropy"
    cases.add(f"{cross}/plain", plain, signed(5, 4), integers(0, 4, 5))
    cases.add(f"{cross}/batch_of_one", plain, signed(1, 4), i64([2]))
    cases.add(f"{cross}/one_class", plain, signed(3, 1), i64([0, 0, 0]))
    cases.add(f"{cross}/two_classes", plain, signed(4, 2), i64([0, 1, 1, 0]))
    cases.add(f"{cross}/ties", plain, np.zeros((2, 10)), i64([3, 9]), note="ln 10")
    huge = f64([[1e4, 0, -1e4], [-1e4, 1e4, 0], [1e4, 1e4 - 1, 1e4 + 1]])
    cases.add(f"{cross}/huge_right", plain, huge, i64([0, 1, 2]))
    cases.add(f"{cross}/huge_wrong", plain, huge, i64([2, 0, 1]))
    for smoothing in (0.1, 0.5, 1.0):
        cases.add(f"{cross}/smoothing_{smoothing}", lambda s, y: plain(s, y, label_smoothing=smoothing), signed(4, 5),
                  integers(0, 5, 4), label_smoothing=smoothing)
    cases.add(f"{cross}/smoothing_huge", lambda s, y: plain(s, y, label_smoothing=0.1), huge, i64([2, 0, 1]),
              label_smoothing=0.1)
    ignored = {"some": [1, -1, 3, -1, 0], "all_but_one": [-1, -1, -1, -1, 2], "none": [0, 1, 2, 3, 0]}
    for label, labels in ignored.items():
        cases.add(f"{cross}/ignore_{label}", lambda s, y: plain(s, y, ignore_index=-1), signed(5, 4), i64(labels),
                  ignore_index=-1, note="mean over the kept")
    cases.add(f"{cross}/ignore_a_class", lambda s, y: plain(s, y, ignore_index=2), signed(5, 4), i64([0, 2, 3, 2, 1]),
              ignore_index=2)
    cases.add(f"{cross}/ignore_smoothing", lambda s, y: plain(s, y, ignore_index=-1, label_smoothing=0.2), signed(4, 3),
              i64([2, -1, 0, 1]), ignore_index=-1, label_smoothing=0.2)

    for label, shape in {"matrix": (3, 4), "vector": (5,), "scalar": (), "block": (2, 3, 2)}.items():
        cases.add(f"mean_squared_error/{label}", F.mse_loss, signed(*shape), signed(*shape))
    cases.add("mean_squared_error/same", lambda x: F.mse_loss(x, x), signed(2, 3))

    cases.add("multiclass_hinge/plain", hinge, signed(5, 4), integers(0, 4, 5))
    cases.add("multiclass_hinge/batch_of_one", hinge, signed(1, 3), i64([1]))
    cases.add("multiclass_hinge/one_class", hinge, signed(2, 1), i64([0, 0]))
    cases.add("multiclass_hinge/no_loss", hinge, f64([[9, 1, 2], [0, 0.5, 7]]), i64([0, 2]))
    cases.add("multiclass_hinge/at_the_kink", hinge, f64([[1, 0, 2], [3, 2, 2]]), i64([0, 0]), order=1,
              note="a margin of exactly 0 has gradient 0")
    cases.add("multiclass_hinge/margin_0.5", lambda s, y: hinge(s, y, 0.5), signed(4, 3), integers(0, 3, 4), margin=0.5)
    cases.add("multiclass_hinge/huge", hinge, huge, i64([2, 0, 1]))

    def share(s, y):
        return (torch.from_numpy(s.numpy().argmax(1)) == y).float().mean()
    cases.add("accuracy/some", share, signed(8, 3), integers(0, 3, 8), order=0)
    cases.add("accuracy/ties", share, f64([[1, 1, 0], [0, 2, 2], [3, 3, 3]]), i64([0, 2, 0]), order=0,
              note="the first of equals is the guess")

    for label, shape in {"matrix": (3, 4), "vector": (5,), "zero": (0, 2)}.items():
        cases.add(f"l2_penalty/{label}", lambda w: 0.5 * 3.14 * (w * w).sum(), signed(*shape), reg=3.14)
    return cases
