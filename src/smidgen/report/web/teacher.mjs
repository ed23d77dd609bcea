// The teacher runs in a worker, so that a stroke never waits for it.

import { whenIdle } from "./elements.mjs";
import { page } from "./page.mjs";

// The worker's program. The page's text of the runtime stands before it; `open` is the runtime's function.
function teacherWork(open) {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const levelsOf = (packed, bits, size) => {
    if (bits === 8) return new Int8Array(packed.buffer);
    return Int8Array.from({ length: size }, (_, at) => ((packed[at >> 1] >> (4 * (at % 2))) & 15) - 8);
  };
  const onGrid = ({ levels, steps }, bits, size) => {
    const [whole, step] = [levelsOf(bytes(levels), bits, size), floats(steps)];
    const row = size / step.length;
    return Float32Array.from({ length: size }, (_, at) => whole[at] * step[Math.floor(at / row)]);
  };
  const unpacked = ({ about, bits, tensors, sizes }) =>
    open(
      bytes(about),
      tensors.map((tensor, at) => (tensor.values ? floats(tensor.values) : onGrid(tensor, bits, sizes[at]))),
    );
  let network;
  onmessage = ({ data }) => {
    if (data.about) network = unpacked(data);
    else postMessage({ turn: data.turn, answer: network.classify(data.values) });
  };
}

let worker;
let turn = 0;
let busy = true; // until the worker runs
let waiting = null;
let isCalled = false;
let tell;

function start() {
  const program = `const open = (${makeRuntime})();\n(${teacherWork})(open);`;
  worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => {
    busy = false;
    if (data.turn === turn) tell(data.answer);
    if (waiting) send(waiting);
  };
  worker.onerror = () => tell(null, "This browser does not run the teacher in a page from disk.");
  worker.postMessage(page.teacher);
  page.teacher = true;
  busy = false;
  if (waiting) send(waiting);
}

function send(values) {
  [busy, waiting] = [true, null];
  worker.postMessage({ turn, values });
}

// Asks the teacher; an answer that comes too late for its question is dropped. `answered` is told the answer. Without
// values nothing is asked any more.
export function askTeacher(values, answered) {
  if (!page.teacher) return;
  turn += 1;
  tell = answered;
  if (busy || !values) waiting = values;
  else send(values);
  if (values && !isCalled) whenIdle(start);
  isCalled ||= !!values;
}
