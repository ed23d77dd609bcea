"""Networks of Smidgen's own, as .safetensors and .smidgen files."""

from __future__ import annotations

from pathlib import Path

from smidgen.engine import choose
from smidgen.errors import ModelFileError, TeacherError
from smidgen.model import open_model
from smidgen.teacher.loaders.network import Batch, Network, Outputs, digest_of


def load_smidgen(path: Path) -> Network:
    """Open a file that Smidgen wrote.

    Raises:
        TeacherError: It is damaged, or a .safetensors file that something else wrote.
    """
    try:
        model = open_model(path)
    except ModelFileError as error:
        hint = "; weights of a torch module are given with --teacher module.py:factory --weights FILE"
        raise TeacherError(f"{error}{hint if path.suffix.lower() == '.safetensors' else ''}") from error
    engine = choose()

    def run(images: Batch) -> Outputs:
        # An image in bytes comes as value / 255, as it does for every teacher of pictures.
        inputs = model.input.to_network(images) if model.input.is_scaled else images
        return engine.predict(model.spec, model.weights, inputs, 1)

    parameters = model.spec.parameters(model.input_shape)
    return Network(str(model.spec), run, tuple(model.input_shape), parameters, digest_of(path))
