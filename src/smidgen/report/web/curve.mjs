// The curve: the details of a network, the size that it is drawn over, and the mark of the one that is shown.

import { byId, element } from "./elements.mjs";
import { page } from "./page.mjs";

const svg = byId("picture");
const figure = svg.parentNode;
const tip = byId("tip");
const dots = [...svg.querySelectorAll(".dot")];
const trained = dots.filter((dot) => dot.parentNode.id === "dots");
const filed = dots.filter((dot) => dot.parentNode.id === "file-dots");
let here = null;

const isShown = (dot) => dot.parentNode.getAttribute("display") !== "none";
const x = (dot) => dot.cx.baseVal.value;

function showTip(dot) {
  here?.classList.remove("here");
  here = dot;
  tip.hidden = !dot;
  if (!dot) return;
  dot.classList.add("here");
  tip.textContent = dot.dataset.text;
  const [box, at] = [figure.getBoundingClientRect(), dot.getBoundingClientRect()];
  const left = at.left + at.width / 2 - box.left - tip.offsetWidth / 2;
  const above = at.top - box.top - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(0, Math.min(box.width - tip.offsetWidth, left))}px`;
  tip.style.top = `${at.top - tip.offsetHeight > 16 ? above : at.bottom - box.top + 8}px`;
}

// The matrix from places on the screen to places in the picture.
export const toPicture = () => svg.getScreenCTM().inverse();

export const svgPoint = (event, matrix = toPicture()) => new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);

function nearest(event) {
  const point = svgPoint(event);
  let [best, least] = [null, 26 * 26];
  for (const dot of dots.filter(isShown)) {
    const far = (x(dot) - point.x) ** 2 + (dot.cy.baseVal.value - point.y) ** 2;
    if (far <= least) [best, least] = [dot, far];
  }
  return best;
}

function step(event) {
  const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (event.key === "Escape") showTip(null);
  if (!by || !here || !event.target.dataset.text) return;
  event.preventDefault();
  const walk = dots.filter(isShown).sort((a, b) => x(a) - x(b));
  walk[walk.indexOf(here) + by]?.focus();
}

function tickOf([at, text, isMinor], bottom) {
  const make = (name, attributes, ...children) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const line = make("line", { class: "axis", x1: at, x2: at, y1: bottom, y2: bottom + 6 });
  const label = make("text", { x: at, y: bottom + 12, dy: ".8em", "text-anchor": "middle" }, text);
  return make("g", isMinor ? { class: "minor" } : {}, line, label);
}

function place(group, { places, fronts }) {
  for (const dot of group) {
    const number = dot.dataset.number === "-1" ? places.length - 1 : +dot.dataset.number;
    dot.setAttribute("cx", places[number]);
    if (dot.classList.contains("winner")) continue;
    dot.classList.toggle("front", fronts.includes(number));
    dot.classList.toggle("candidate", !fronts.includes(number));
    dot.setAttribute("tabindex", fronts.includes(number) ? 0 : -1);
  }
}

// Draws the curve over another size.
export function showMeasure(name) {
  const measure = page.measures[name];
  const isFiles = name === "bytes";
  const show = (id, isVisible) => byId(id)?.setAttribute("display", isVisible ? "inline" : "none");
  show("dots", !isFiles);
  show("file-dots", isFiles);
  show("turning", name === "parameters");
  byId("ticks").replaceChildren(...measure.ticks.map((tick) => tickOf(tick, page.frame.bottom)));
  byId("front").setAttribute("d", measure.front);
  place(isFiles ? filed : trained, measure);
  byId("axis-name").textContent = `${byId(`measure-${name}`).dataset.label} (logarithmic)`;
  byId("below-text").hidden = isFiles;
  showTip(null);
}

export function markShown(network, name) {
  byId("shown-mark").setAttribute("cx", network.at[name] ?? -99);
  byId("shown-mark").setAttribute("cy", network.y);
}

for (const dot of dots) {
  const title = dot.firstElementChild; // without this script the browser shows the title by itself
  dot.dataset.text = title.textContent;
  dot.setAttribute("role", "img");
  dot.setAttribute("aria-label", title.textContent);
  title.remove();
}
svg.addEventListener("pointermove", (event) => showTip(event.buttons ? null : nearest(event)));
svg.addEventListener("pointerdown", (event) => showTip(nearest(event)));
svg.addEventListener("pointerleave", () => showTip(null));
svg.addEventListener("focusin", (event) => event.target.dataset.text && showTip(event.target));
svg.addEventListener("focusout", () => showTip(null));
svg.addEventListener("keydown", step);
