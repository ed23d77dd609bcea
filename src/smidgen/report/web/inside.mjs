// The layers of the network that answers: its weights, and what each layer makes of the input.

import { byId, count, element } from "./elements.mjs";
import { opened } from "./page.mjs";
import { drawTiles } from "./tiles.mjs";

const MOST_WEIGHTS = 2000;
const [ROOM, BIAS_ROOM] = [66, 9];

let lit;

const weightsOf = (network) =>
  opened(network)
    .plans.filter((plan) => plan.source === undefined)
    .reduce((sum, plan) => sum + plan.values.reduce((size, values) => size + values.length, 0), 0);

function rowOf([layer, output, parameters]) {
  const name = element("div", { class: "layer-name" }, element("code", {}, layer), element("span", {}, output));
  const canvas = () => element("canvas", { width: 1, height: 1 });
  return element("li", parameters ? {} : { class: "bare" }, name, element("div", { class: "weights" }, canvas(), canvas()), element("div", { class: "map" }, canvas()));
}

// The tiles of a layer's weights: kernels, or a matrix that lies on its long side.
function weightTiles({ layer, input, tensors, values: [weight] }) {
  const [[shape]] = tensors;
  if (shape.length > 2 && shape[2] * shape[3] > 1) return [weight, shape[0] * shape[1], shape[2], shape[3]];
  const isMap = layer.kind === "dense" && input[1] * input[2] > 1;
  if (isMap) return [weight, shape[0] * input[0], input[1], input[2]];
  if (shape.length < 2) return [weight, 1, 1, weight.length];
  const [outs, ins] = [shape[0], weight.length / shape[0]];
  if (outs <= ins) return [weight, 1, outs, ins];
  return [weight.map((_, at) => weight[(at % outs) * ins + Math.floor(at / outs)]), 1, ins, outs];
}

// The width of each row's box, all read before anything is drawn: after that the browser lays out the page again.
const widthsOf = (rows, name) => Array.from(rows, (row) => row.querySelector(name).clientWidth);

// Draws the weights of each layer, and below them its biases and other vectors, a row each.
function drawWeights() {
  const rows = byId("inside").children;
  const widths = widthsOf(rows, ".weights");
  opened(lit).plans.forEach((plan, at) => {
    const [main, rest] = rows[at].querySelectorAll(".weights canvas");
    const [weight, ...vectors] = plan.source === undefined ? plan.values : []; // a repeated layer shows them once
    main.hidden = !weight;
    rest.hidden = !vectors.length;
    const room = BIAS_ROOM * vectors.length;
    if (weight) drawTiles(main, [widths[at], ROOM - room - (room && 4)], ...weightTiles(plan));
    const flat = Float32Array.from(vectors.flatMap((vector) => [...vector]));
    if (vectors.length) drawTiles(rest, [widths[at], room], flat, 1, vectors.length, vectors[0].length);
  });
}

function weightsText() {
  const round = (values) => Array.from(values, (value) => +value.toPrecision(4)).join(" ");
  return opened(lit)
    .plans.filter((plan) => plan.source === undefined && plan.values?.length)
    .map((plan) => `${lit.layers[opened(lit).plans.indexOf(plan)][0]}\n${plan.values.map(round).join("\n")}`)
    .join("\n\n");
}

export function showInside(network) {
  lit = network;
  byId("inside").replaceChildren(...network.layers.map(rowOf));
  byId("all-weights").open = false;
  const weights = opened(network) ? weightsOf(network) : Infinity;
  byId("inside").classList.toggle("without-weights", weights > MOST_WEIGHTS);
  byId("all-weights").hidden = weights > MOST_WEIGHTS;
  byId("weights-count").textContent = `All ${count(weights)} weights as numbers`;
  if (weights <= MOST_WEIGHTS) drawWeights();
}

// Lights the maps up; without outputs they are dark.
export function lightInside(outputs) {
  const rows = byId("inside").children;
  const widths = widthsOf(rows, ".map");
  opened(lit)?.plans.forEach(({ shape: [channels, height, width] }, at) => {
    const values = outputs ? outputs[at] : new Float32Array(channels * height * width);
    const isVector = height * width === 1;
    const canvas = rows[at].querySelector(".map canvas");
    drawTiles(canvas, [widths[at], ROOM], values, isVector ? 1 : channels, height, isVector ? channels : width);
  });
}

export const redrawWeights = () => byId("all-weights").hidden || drawWeights();

byId("all-weights").addEventListener("toggle", () => {
  byId("weights-text").textContent = byId("all-weights").open ? weightsText() : "";
});
