"""Import a network that another program trained: ONNX and Keras files become a `Model`.

importing.py   the public function: reads, compares with the original, writes
keras_file.py  a Keras model as steps
onnx_file.py   an ONNX graph as steps
steps.py       the steps of a network, made by the two readers
assembling.py  steps to the layers and weights of a network
"""

from __future__ import annotations

from smidgen.importers.importing import Imported, ImportProof, import_network

__all__ = ["ImportProof", "Imported", "import_network"]
