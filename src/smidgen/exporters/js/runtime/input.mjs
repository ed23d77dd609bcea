// The class names, and what the numbers of an input mean.

import { float32 } from "./numbers.mjs";
import { model, unzigzag } from "./stream.mjs";

export function readNames(s, classes) {
  const own = s.uint(1);
  return Array.from({ length: classes }, (_, index) => {
    if (!own) return String(index);
    const bytes = Array.from({ length: s.golomb(3) }, () => s.uint(8));
    return new TextDecoder().decode(new Uint8Array(bytes));
  });
}

// One offset and scale after another; an exponent is coded by its difference to the one before.
function readPairs(s, count) {
  const scaleSame = model(3 * 2 ** 20, 2);
  const offsetNone = model(3 * 2 ** 20, 2);
  let exponent = 0;
  return Array.from({ length: count }, () => {
    if (s.uint(1)) return [float32(s.uint(32)), float32(s.uint(32))];
    if (!s.decide(scaleSame)) exponent += unzigzag(1 + s.golomb(1));
    const offset = s.decide(offsetNone) ? 0 : unzigzag(1 + s.golomb(2)) * 2 ** (-exponent - 1);
    return [offset, 2 ** exponent];
  });
}

function asBytes(values) {
  const made = new Float32Array(values.length);
  for (let i = 0; i < made.length; i++) made[i] = values[i] / 255;
  return made;
}

// The kind of the input, and the function from the user's values, `size` a channel, to those of the network.
export function readInput(s, channels) {
  if (s.version === 1 || !s.uint(1)) return { kind: "image-bytes", scaled: asBytes };
  const kind = ["vector", "signal", "image-floats", "unknown"][s.uint(2)];
  const asTheyAre = (values) => (values instanceof Uint8Array ? asBytes(values) : Float32Array.from(values));
  if (kind === "unknown") return { kind, scaled: asTheyAre };
  // How the user's arrays are laid out, which does not matter here.
  if (kind === "signal") s.uint(1);
  let pairs = [[0, 1]];
  if (s.uint(1)) pairs = readPairs(s, channels > 1 && s.uint(1) ? 1 : channels);
  if (kind === "image-floats") s.uint(2);
  else if (s.uint(1)) s.golomb(2);
  const scaled = (values, size) => {
    const made = Float32Array.from(values);
    for (let c = 0; c < channels; c++) {
      const [offset, scale] = pairs[pairs.length > 1 ? c : 0];
      for (let i = c * size; i < (c + 1) * size; i++) made[i] = (values[i] - offset) * scale;
    }
    return made;
  };
  return { kind, scaled };
}
