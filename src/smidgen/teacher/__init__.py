"""The network that candidates learn from: the user's own or one that is trained here. Its logits are computed once.

trained.py         the teacher that is trained here, and the context of networks that learn from logits
external.py        a teacher of the user's own -> TeacherOutputs
outputs.py         TeacherOutputs: logits, scores, and what was found out about the teacher
loaders/           ONNX, Keras, torch, scikit-learn and Smidgen's files -> a network that can be run
input_format.py    the layout and the range of a teacher's input; fitting.py finds them by trying
running.py         a network over whole splits, in parts that the store keeps
logits.py          a teacher's outputs -> logits
class_order.py     which output belongs to which class
"""

from __future__ import annotations

from smidgen.teacher.external import Teacher, run_teacher
from smidgen.teacher.outputs import CHANCE_ERRORS, TeacherOutputs, chance_rate, score_of_logits
from smidgen.teacher.trained import context_with_model, context_with_teacher, default_recipe, default_spec

__all__ = [
    "CHANCE_ERRORS",
    "Teacher",
    "TeacherOutputs",
    "chance_rate",
    "context_with_model",
    "context_with_teacher",
    "default_recipe",
    "default_spec",
    "run_teacher",
    "score_of_logits",
]
