"""The layers in NumPy compute what torch computes."""

from __future__ import annotations

import numpy as np
import pytest

from exported_networks import NETWORKS, network_with_grids, some_images, torch_logits
from smidgen.engine.losses import class_logits
from smidgen.exporters.forward import layer_outputs


@pytest.mark.parametrize("network", NETWORKS)
def test_the_layers_in_numpy_compute_what_torch_does(network: str) -> None:
    quantized = network_with_grids(*NETWORKS[network])
    images = some_images(quantized.input_shape, 20)
    *_, last = layer_outputs(quantized, images)
    np.testing.assert_allclose(class_logits(last[:, :, 0, 0]), torch_logits(quantized, images), rtol=1e-4, atol=1e-5)
