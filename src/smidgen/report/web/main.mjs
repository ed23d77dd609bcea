// The page: one network is shown at a time, by the floor and the size that the curve is drawn over.

import { sayAnswer, showAnswer } from "./answers.mjs";
import { Bend } from "./bend.mjs";
import { readColours } from "./colours.mjs";
import { markShown, showMeasure } from "./curve.mjs";
import { byId, oncePerFrame, whenIdle } from "./elements.mjs";
import { lightInside, redrawWeights, showInside } from "./inside.mjs";
import { file, isPicture, opened, page, winner } from "./page.mjs";
import { pickedText, showPanels } from "./panels.mjs";
import { offerSamples } from "./samples.mjs";
import { Sheet } from "./sheet.mjs";
import { listenToFloor, placeFloor } from "./slider.mjs";
import { askTeacher } from "./teacher.mjs";

const shown = { network: winner, measure: "parameters", floor: page.floor, answer: null };

function answerNow() {
  const values = pad.values();
  const network = opened(shown.network);
  shown.answer = values && network ? network.classify(values) : null;
  showAnswer("network", shown.answer);
  lightInside(shown.answer ? network.outputs(values) : null);
  if (!values) showAnswer("teacher", null);
  askTeacher(values, (answer, why) => (why ? (byId("teacher-note").textContent = why) : showAnswer("teacher", answer)));
}

const answerSoon = oncePerFrame(answerNow);

function settled() {
  answerNow();
  sayAnswer(shown.answer);
}

// Shows a network in every part of the page. It was picked by the floor, or by its name.
function show(network, floor = null) {
  const isNew = network !== shown.network;
  shown.network = network;
  const isNamed = network === winner || network === file;
  byId("picked-text").textContent = pickedText(network, floor, isNamed);
  byId("picked-note").hidden = isNamed;
  byId("back").disabled = isNamed && network === winner;
  byId("who").value = String(page.networks.indexOf(network));
  byId("left-out").hidden = !!network.tensors;
  markShown(network, shown.measure);
  if (!isNew) return;
  showPanels(network);
  showInside(network);
  answerNow();
}

// The smallest network at the floor, by the size that the curve is drawn over; where none holds it, the best.
function pick() {
  const { measure, floor } = shown;
  const named = measure === "bytes" ? file : winner;
  if (floor === page.floor) return named;
  const choice = page.networks.filter((network) => measure in network.at);
  const holding = choice.filter((network) => network.holds >= floor);
  const by = (key, sign) => (a, b) => sign * (key(a) - key(b)) || b.right - a.right;
  if (holding.length) return holding.sort(by((network) => network.sizes[measure], 1))[0];
  return choice.sort(by((network) => network.holds, -1))[0];
}

function moveFloor(floor) {
  shown.floor = Math.abs(floor - page.floor) < 5e-5 ? page.floor : floor;
  placeFloor(shown.floor);
  show(pick(), shown.floor);
}

function changeMeasure(name) {
  shown.measure = name;
  showMeasure(name);
  show(pick(), shown.floor);
}

function load(values, sentence) {
  pad.load(values);
  byId("sample-note").textContent = sentence;
  settled();
}

function changed() {
  byId("sample-note").textContent = "";
  answerSoon();
}

function redraw() {
  readColours();
  redrawWeights();
  pad.draw();
  answerNow();
}

readColours();
const pad = isPicture ? new Sheet(changed, settled) : new Bend(changed, settled);
showInside(winner);
markShown(winner, "parameters");
offerSamples(load);
if (!page.samples.length) {
  pad.clear();
  lightInside(null);
}
listenToFloor(() => shown.floor, moveFloor);
for (const choice of document.querySelectorAll("[name=measure]")) choice.addEventListener("change", () => changeMeasure(choice.value));
byId("who").addEventListener("change", () => show(page.networks[+byId("who").value]));
byId("back").addEventListener("click", () => {
  byId("measure-parameters").checked = true;
  changeMeasure("parameters");
  moveFloor(page.floor);
});
byId("clear").addEventListener("click", () => {
  pad.clear();
  byId("sample-note").textContent = "";
  settled();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", oncePerFrame(redraw));
document.documentElement.dataset.ready = "";
whenIdle(() => document.documentElement.classList.add("whole"));
