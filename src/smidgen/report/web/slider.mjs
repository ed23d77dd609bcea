// The floor as a slider: the dashed line is dragged, or moved by the arrow keys.

import { byId, clipped, shortPercent } from "./elements.mjs";
import { page } from "./page.mjs";
import { svgPoint, toPicture } from "./curve.mjs";

const STEP = 0.001;
const line = byId("floor");
const { rates, top, bottom } = page.frame;
const [lowest, highest] = [Math.ceil(rates[0] / STEP) * STEP, Math.floor(rates[1] / STEP) * STEP];

const yOf = (rate) => bottom - ((bottom - top) * (rate - rates[0])) / (rates[1] - rates[0]);
const rateAt = (y) => rates[0] + ((bottom - y) * (rates[1] - rates[0])) / (bottom - top);
const rounded = (rate) => clipped(Math.round(rate / STEP) * STEP, lowest, highest);

export function placeFloor(floor) {
  line.setAttribute("transform", `translate(0 ${(yOf(floor) - yOf(page.floor)).toFixed(2)})`);
  line.setAttribute("aria-valuenow", (100 * floor).toFixed(2));
  line.setAttribute("aria-valuetext", `floor ${shortPercent(floor)}`);
  byId("floor-text").textContent = `floor ${shortPercent(floor)}`;
}

// `moved` is told each new floor.
export function listenToFloor(floorOf, moved) {
  // Where the picture was when the drag began: another network has other panels, and the page may move under the pointer.
  let dragged = null;
  line.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    line.setPointerCapture(event.pointerId);
    dragged = toPicture();
  });
  line.addEventListener("pointermove", (event) => {
    if (dragged) moved(rounded(rateAt(svgPoint(event, dragged).y)));
  });
  line.addEventListener("lostpointercapture", () => (dragged = null));
  line.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    const end = { Home: lowest, End: highest }[event.key];
    if (!step && end === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    moved(end ?? rounded(floorOf() + STEP * step));
  });
}
