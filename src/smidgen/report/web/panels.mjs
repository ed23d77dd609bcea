// What changes with the network that is shown: its layers, its bytes, and what it gets wrong.

import { byId, count, element, percent, shortPercent } from "./elements.mjs";
import { classText, file, page, winner } from "./page.mjs";

const tenths = (size) => size.toFixed(1).replace(/\B(?=(\d{3})+\.)/g, ",");
const cell = (text, attributes = { class: "n" }) => element("td", attributes, text);

// Shows what was made for another network in place of what the page says of the winner.
function swap(name, content) {
  byId(`${name}-own`).hidden = !!content;
  const other = byId(`${name}-other`);
  other.hidden = !content;
  other.replaceChildren(...(content ?? []));
}

const scrolling = (table) => element("div", { class: "scroll", tabindex: "0" }, table);

function headed(names, rows) {
  const head = element("tr", {}, ...names.map((name, at) => element("th", at ? { scope: "col", class: "n" } : { scope: "col" }, name)));
  return scrolling(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

function layersOf({ layers, spec }) {
  const rows = layers.map(([layer, output, parameters, macs]) =>
    element("tr", {}, element("td", {}, element("code", {}, layer)), cell(output), cell(count(parameters)), cell(count(macs))),
  );
  return [element("code", { class: "spec" }, spec), headed(["Layer", "Output", "Parameters", "Multiply-accumulates"], rows)];
}

function bytesTable({ parts, sizes }) {
  const total = parts.reduce((sum, [, size]) => sum + size, 0);
  const rows = parts.map(([name, size]) => {
    const share = element("span", { class: "share" }, element("i", { style: `width:${((100 * size) / total).toFixed(1)}%` }));
    return element("tr", {}, element("td", {}, name), cell(sizes.bytes ? tenths(size) : count(size)), element("td", { class: "n" }, share));
  });
  const said = sizes.bytes
    ? `The file that is shown has ${count(sizes.bytes)} bytes.`
    : `The network that is shown takes ${count(total)} bytes as float32; smidgen compress makes a shorter file of it.`;
  return [element("p", {}, said), headed(["Part", "Bytes", "Share"], rows)];
}

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

function confusionRow(counts, truth, worst) {
  const right = counts[truth] / Math.max(1, sum(counts));
  const cells = counts.map((images, predicted) => {
    const kind = predicted === truth ? "correct" : images ? "wrong" : "none";
    const heat = predicted === truth ? right : images / worst;
    return element("td", { class: kind, style: `--h:${heat.toFixed(2)}` }, images ? count(images) : "·");
  });
  const head = element("th", { scope: "row" }, classText(truth));
  return element("tr", {}, head, ...cells, element("td", { class: "own" }, percent(right, 1)));
}

function confusionOf({ confusion, right, images }) {
  const said = element("p", {}, `On the validation examples it is right on ${count(right)} of ${count(images)}, ${percent(right / images)}.`);
  if (!confusion) return [said];
  const errors = confusion.flatMap((row, truth) => row.filter((_, predicted) => predicted !== truth));
  const worst = Math.max(1, ...errors);
  const head = element("tr", {}, element("td"), ...page.classes.map((name) => element("th", { scope: "col" }, name)), element("th", { scope: "col" }, "correct"));
  const body = confusion.map((row, truth) => confusionRow(row, truth, worst));
  const caption = element("caption", {}, "Validation examples by true class (rows) and predicted class (columns).");
  const table = element("table", { class: "confusion" }, caption, element("thead", {}, head), element("tbody", {}, ...body));
  return [said, scrolling(table)];
}

export function showPanels(network) {
  const isWinner = network === winner;
  swap("layers", isWinner ? null : layersOf(network));
  swap("bytes", isWinner || network === file ? null : bytesTable(network));
  swap("wrong", isWinner ? null : confusionOf(network));
}

// The sentence below the curve on what is shown; `floor` is null where it was picked by its name.
export function pickedText(network, floor, isNamed) {
  const { sizes, right, images, holds } = network;
  const parameters = `${count(sizes.parameters)} parameters`;
  const size = sizes.bytes ? `${count(sizes.bytes)} bytes, ${parameters}` : parameters;
  const facts = `${size}, ${count(sizes.macs)} multiply-accumulates, ${count(sizes.ram)} bytes of memory; right on ${percent(right / images)} of the validation examples.`;
  const name = isNamed ? (network === winner ? "The winner" : "The winner's file") : "A network of the curve";
  if (floor === null || (floor === page.floor && isNamed)) return `${name}: ${facts}`;
  if (floor > holds) return `No network here holds ${shortPercent(floor)}. The most accurate holds ${shortPercent(holds)}: ${facts}`;
  return `Smallest at a floor of ${shortPercent(floor)}: ${facts}`;
}
