// Reads the bytes of a .smidgen file, and runs its network.

import { checkedBody } from "./checksum.mjs";
import { step } from "./forward.mjs";
import { readInput, readNames } from "./input.mjs";
import { readLayers } from "./layers.mjs";
import { planOf, product } from "./plan.mjs";
import { Stream, fail } from "./stream.mjs";
import { readTensors, takeTensors } from "./tensors.mjs";

function readShape(s) {
  const channels = 1 + s.golomb(0);
  const height = 1 + s.golomb(4);
  return [channels, height, s.flag("square") ? height : 1 + s.golomb(4)];
}

// `given` has the values of each tensor, in the file's order, where the file describes a network and ends before them.
function read(file, given) {
  const version = file[1] % 16;
  if (file[0] !== 0xb5 || (version !== 1 && version !== 2)) fail("wrong first bytes");
  const body = checkedBody(file);
  const s = new Stream(body.subarray(2), version);
  const shape = readShape(s);
  const plans = [];
  const [[outputs]] = planOf(readLayers(s), shape, plans);
  if (outputs === 1 && version === 1) fail("one output");
  const labels = readNames(s, outputs === 1 ? 2 : outputs);
  const input = readInput(s, shape[0]);
  if (given) takeTensors(given, plans);
  else readTensors(s, plans);
  if (s.place < body.length - 2) fail("bytes are left over");
  return { shape, labels, input, plans };
}

function probabilities(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

// Opens a network. Returns its input shape (channels, height, width), its class names, its plan, and functions:
// `outputs(values)` gives the output of each step, `classify(values)` the class and its probabilities.
export function open(file, given) {
  const { shape, labels, input, plans } = read(file, given);
  const size = product(shape);

  function run(values) {
    if (values.length !== size) fail(`give ${size} values, not ${values.length}`);
    const first = input.scaled(values, shape[1] * shape[2]);
    const made = [];
    for (const plan of plans) made.push(step(plan, plan.inputs.map((at) => (at < 0 ? first : made[at]))));
    return made;
  }

  // Steps use their memory again, so that what is given away is a copy.
  const outputs = (values) => run(values).map((made) => made.slice());

  function classify(values) {
    let logits = run(values).pop();
    // One output stands for two classes.
    if (logits.length === 1) logits = [0, logits[0]];
    const index = logits.indexOf(Math.max(...logits));
    return { label: labels[index], index, scores: probabilities(logits) };
  }

  return { shape, labels, kind: input.kind, plans, outputs, classify };
}
