"""An Arduino library of a C export, with a sketch and a program for a terminal that use it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.atomic_files import write_checked
from smidgen.errors import RequestError
from smidgen.exporters.c_source import CProgram
from smidgen.exporters.c_text import array

FIRST_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every entry of a zip file, so that the same network always gives the same bytes."""

_MAIN = """/* Made by Smidgen: reads one input from a file, or takes the sample below, and prints its class and score.

   cc -I../src NAME_example.c ../src/NAME.c -o example && ./example */
#include <stdio.h>
#include "NAME.h"

static const NAME_input sampleSAMPLE;

int main(int count, char **words)
{
    static NAME_input input[UPPER_INPUTS];
    float scores[UPPER_CLASSES];
    const NAME_input *given = sample;
    FILE *file = count > 1 ? fopen(words[1], "rb") : NULL;
    int found;
    if (count > 1) {
        if (!file || fread(input, sizeof input[0], UPPER_INPUTS, file) != UPPER_INPUTS) {
            fprintf(stderr, "give a file of %d numbers\\n", UPPER_INPUTS);
            return 1;
        }
        fclose(file);
        given = input;
    }
    found = NAME_classify(given, scores);
    printf("%d %s %g\\n", found, NAME_class_names[found], (double)scores[found]);
    return 0;
}
"""

_SKETCH = """// Classifies a sample every second, prints its class and lights the LED where it is the class expected.
#include <NAME.h>

static const NAME_input sampleSAMPLE;
static const int expected = EXPECTED;

void setup() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
}

void loop() {
  const unsigned long before = micros();
  const int found = NAME_class(sample);
  const unsigned long spent = micros() - before;
  Serial.print(NAME_class_names[found]);
  Serial.print(" in ");
  Serial.print(spent);
  Serial.println(" us");
  digitalWrite(LED_BUILTIN, found == expected ? HIGH : LOW);
  delay(1000);
}
"""

_PROPERTIES = """name=NAME
version=1.0.0
author=Smidgen
maintainer=Smidgen
sentence=A neural network: SPEC
paragraph=UPPER_RAM_BYTES bytes of RAM without an input. Made by Smidgen.
category=Data Processing
url=https://www.arduino.cc
architectures=*
includes=NAME.h
"""


def arduino_zip(made: CProgram, spec: str, sample: npt.NDArray[Any] | None, expected: int) -> bytes:
    """Return an Arduino library: the network, examples, and the names that the editor colours.

    Args:
        made: The export.
        spec: The network's text.
        sample: An input in the user's units; None for zeros.
        expected: Its class.
    """
    given = np.zeros(1, np.uint8) if sample is None else sample
    name = made.name
    properties = _PROPERTIES.replace("UPPER_RAM_BYTES", f"{made.ram_bytes}").replace("NAME", name)
    functions = "".join(f"{name}_{each}\tKEYWORD2\n" for each in ("class", "classify", "classify_in", "class_names"))
    texts = {
        "library.properties": properties.replace("SPEC", spec.replace("\n", " ")),
        "keywords.txt": f"{name}_input\tKEYWORD1\n{name}_scratch\tKEYWORD1\n{functions}",
        f"src/{name}.h": made.header,
        f"src/{name}.c": made.source,
        "examples/classify/classify.ino": _filled(_SKETCH, made, given, expected),
    }
    if sample is not None:
        texts[f"extras/{name}_example.c"] = _filled(_MAIN, made, sample, expected)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text in texts.items():
            archive.writestr(zipfile.ZipInfo(f"{name}/{file}", FIRST_DATE), text, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def write_arduino(path: Path, content: bytes) -> int:
    """Write an Arduino library and return its length in bytes.

    Raises:
        RequestError: What was read back is not a whole zip file.
        ModelFileError: The file cannot be written.
    """
    return write_checked(path, content, _check_zip)


def _check_zip(draft: Path) -> None:
    with zipfile.ZipFile(draft) as archive:
        if archive.testzip():
            raise RequestError("what was read back is not what was written; check the disk")


def _filled(text: str, made: CProgram, sample: npt.NDArray[Any], expected: int) -> str:
    values = sample.ravel()
    words = {"SAMPLE": array(values if values.dtype.kind == "f" else values.astype(int)), "EXPECTED": str(expected)}
    for word, value in (words | {"NAME": made.name, "UPPER": made.name.upper()}).items():
        text = text.replace(word, value)
    return text
