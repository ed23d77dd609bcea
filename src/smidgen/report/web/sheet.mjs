// The pad for pictures: draw with a pointer or with the arrow keys; values are the user's units. It begins with `clear`
// or `load`.

import { byId, clipped, onDrag } from "./elements.mjs";
import { page } from "./page.mjs";
import { asBytesOf, blank, centred, paintOn, resized, stroke } from "../../exporters/js/picture.mjs";

const FINE = 10;

export class Sheet {
  constructor(changed, settled) {
    const [channels, height, width] = page.input.shape;
    Object.assign(this, { channels, height, width, changed, settled, canvas: byId("pad") });
    this.isFine = page.input.centred;
    this.zoom = this.isFine ? FINE : 1;
    this.low = Math.min(...page.input.low);
    this.high = Math.max(...page.input.high);
    Object.assign(this.canvas, { width: width * this.zoom, height: height * this.zoom });
    this.pen = [(width * this.zoom) / 2, (height * this.zoom) / 2];
    this.isDown = false;
    this.listen();
  }

  clear() {
    this.picture = blank(this.channels, this.canvas.height, this.canvas.width, this.low);
    this.sample = null;
    this.isEmpty = true;
    this.draw();
  }

  // Shows a sample. On a pad that centres what is drawn, the next stroke begins a new drawing.
  load(values) {
    this.picture = { channels: this.channels, height: this.height, width: this.width, values: Float64Array.from(values) };
    this.sample = values;
    this.isEmpty = false;
    this.draw();
  }

  draw() {
    paintOn(this.canvas, this.picture, this.low, this.high);
  }

  // What the network reads; null where nothing is drawn.
  values() {
    if (this.sample) return this.sample;
    if (this.isEmpty) return null;
    const isCentred = this.isFine && byId("centre").checked;
    const small = isCentred ? centred(this.picture, this.height) : resized(this.picture, this.height, this.width);
    if (!small) return null;
    return page.input.kind === "image-bytes" ? asBytesOf(small) : Float32Array.from(small.values);
  }

  paint() {
    const tone = byId("tone")?.value;
    const colour = byId("colour")?.value;
    if (colour) return [1, 3, 5].map((at) => this.low + ((this.high - this.low) * parseInt(colour.slice(at, at + 2), 16)) / 255);
    return Array(this.channels).fill(tone === "dark" ? this.low : this.high);
  }

  line(from, to) {
    if (this.isFine && this.sample) this.clear();
    this.sample = null;
    this.isEmpty = false;
    const radius = this.isFine ? 1.1 * this.zoom : Math.max(0.7, this.width / 28);
    stroke(this.picture, from, to, radius, this.paint());
    this.draw();
    this.changed();
  }

  at(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [((event.clientX - left) * this.canvas.width) / width, ((event.clientY - top) * this.canvas.height) / height];
  }

  listen() {
    onDrag(this.canvas, (event) => this.at(event), (from, to) => this.line(from, to), () => this.settled());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.showPen());
    this.canvas.addEventListener("blur", () => this.hidePen());
    byId("centre")?.addEventListener("change", () => [this.changed(), this.settled()]);
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === " " || event.key === "Enter") this.isDown = !this.isDown;
    else if (!step) return;
    event.preventDefault();
    const far = (event.shiftKey ? 4 : 1) * this.zoom;
    const sides = [this.canvas.width, this.canvas.height];
    const to = this.pen.map((place, axis) => clipped(place + far * (step?.[axis] ?? 0), 0, sides[axis]));
    if (this.isDown) this.line(this.pen, to);
    else if (!step) this.settled();
    this.pen = to;
    this.showPen();
  }

  showPen() {
    const mark = byId("pen");
    mark.hidden = !this.canvas.matches(":focus-visible");
    mark.classList.toggle("down", this.isDown);
    Object.assign(mark.style, {
      left: `${(100 * this.pen[0]) / this.canvas.width}%`,
      top: `${(100 * this.pen[1]) / this.canvas.height}%`,
    });
  }

  hidePen() {
    this.isDown = false;
    byId("pen").hidden = true;
  }
}
