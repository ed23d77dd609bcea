// The pad for signals and vectors: curves that one bends with a pointer or with the arrow keys. It begins with `clear` or
// `load`.

import { byId, clipped, onDrag } from "./elements.mjs";
import { page } from "./page.mjs";

const [WIDE, HIGH, EDGE] = [640, 400, 14];
const MOST_RATIO = 5;
const DASHES = [[], [9, 5], [2, 4], [12, 4, 2, 4]];

export class Bend {
  constructor(changed, settled) {
    const [channels, , times] = page.input.shape;
    this.isVector = page.input.kind === "vector" || times === 1;
    Object.assign(this, { channels, changed, settled, canvas: byId("pad") });
    this.places = this.isVector ? channels : times;
    Object.assign(this.canvas, { width: WIDE, height: HIGH });
    this.ranges = this.rangesOf();
    this.at = 0;
    this.listen();
  }

  // The lowest and the highest value of each channel; channels of similar sizes share theirs.
  rangesOf() {
    const { low, high } = page.input;
    const spans = low.map((least, c) => high[c] - least);
    const alike = !this.isVector && Math.max(...spans) <= MOST_RATIO * Math.min(...spans);
    const shared = [Math.min(...low), Math.max(...high)];
    return low.map((least, c) => (alike ? shared : [least, high[c] > least ? high[c] : least + 1]));
  }

  clear() {
    const [, height, width] = page.input.shape;
    const middle = (at) => (this.ranges[Math.floor(at / (height * width))][0] + this.ranges[Math.floor(at / (height * width))][1]) / 2;
    this.array = Float32Array.from({ length: this.channels * height * width }, (_, at) => middle(at));
    this.isEmpty = true;
    this.draw();
  }

  load(values) {
    this.array = Float32Array.from(values);
    this.isEmpty = false;
    this.draw();
  }

  values() {
    if (this.isEmpty) return null;
    return page.input.kind === "image-bytes" ? Uint8Array.from(this.array, Math.round) : this.array;
  }

  get channel() {
    return this.isVector ? 0 : +(byId("channel")?.value ?? 0);
  }

  // Where in the array a place of the curve lies, and the range of its value.
  slot(place) {
    if (this.isVector) return [place, this.ranges[place]];
    return [this.channel * this.places + place, this.ranges[this.channel]];
  }

  x(place) {
    return EDGE + ((WIDE - 2 * EDGE) * (this.places > 1 ? place / (this.places - 1) : 0.5));
  }

  y(value, [low, high]) {
    return HIGH - EDGE - (HIGH - 2 * EDGE) * clipped((value - low) / (high - low), -0.03, 1.03);
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    context.clearRect(0, 0, WIDE, HIGH);
    context.strokeStyle = style.getPropertyValue("--line");
    for (let k = 0; k <= 4; k++) context.strokeRect(EDGE, EDGE + ((HIGH - 2 * EDGE) * k) / 4, WIDE - 2 * EDGE, 0);
    const lines = this.isVector ? 1 : this.channels;
    const colours = ["--front", "--winner", "--band-ink", "--soft"].map((name) => style.getPropertyValue(name));
    for (let c = 0; c < lines; c++) this.drawLine(context, c, colours[c % colours.length]);
  }

  drawLine(context, channel, colour) {
    const of = (place) => (this.isVector ? [this.array[place], this.ranges[place]] : [this.array[channel * this.places + place], this.ranges[channel]]);
    Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: 2.5, lineJoin: "round" });
    context.setLineDash(DASHES[channel % DASHES.length]);
    context.beginPath();
    for (let place = 0; place < this.places; place++) context.lineTo(this.x(place), this.y(...of(place)));
    context.stroke();
    context.setLineDash([]);
    if (this.places <= 40)
      for (let place = 0; place < this.places; place++) {
        context.beginPath();
        context.arc(this.x(place), this.y(...of(place)), 6, 0, 7);
        context.fill();
      }
  }

  set(place, share) {
    const [slot, [low, high]] = this.slot(place);
    this.array[slot] = low + (high - low) * clipped(share, 0, 1);
    this.isEmpty = false;
  }

  where(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const across = (((event.clientX - left) / width) * WIDE - EDGE) / (WIDE - 2 * EDGE);
    const up = 1 - (((event.clientY - top) / height) * HIGH - EDGE) / (HIGH - 2 * EDGE);
    return [clipped(Math.round(across * (this.places - 1)), 0, this.places - 1), up];
  }

  // Sets every place between two points of the pointer's way.
  bend([from, start], [to, end]) {
    const steps = Math.max(1, Math.abs(to - from));
    for (let k = 0; k <= steps; k++) this.set(Math.round(from + ((to - from) * k) / steps), start + ((end - start) * k) / steps);
    this.draw();
    this.changed();
  }

  listen() {
    onDrag(this.canvas, (event) => this.where(event), (from, to) => this.bend(from, to), () => this.settled());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.showPen());
    this.canvas.addEventListener("blur", () => (byId("pen").hidden = true));
  }

  key(event) {
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const up = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
    if (!along && !up) return;
    event.preventDefault();
    if (along) this.at = clipped(this.at + along * (event.shiftKey ? 10 : 1), 0, this.places - 1);
    const [slot, [low, high]] = this.slot(this.at);
    if (up) {
      this.set(this.at, (this.array[slot] - low) / (high - low) + up);
      this.draw();
      this.changed();
      this.settled();
    }
    this.showPen();
    byId("said").textContent = `position ${this.at + 1}: ${+this.array[slot].toPrecision(4)}`;
  }

  showPen() {
    const [slot, range] = this.slot(this.at);
    const mark = byId("pen");
    mark.hidden = !this.canvas.matches(":focus-visible");
    Object.assign(mark.style, {
      left: `${(100 * this.x(this.at)) / WIDE}%`,
      top: `${(100 * this.y(this.array[slot], range)) / HIGH}%`,
    });
  }
}
