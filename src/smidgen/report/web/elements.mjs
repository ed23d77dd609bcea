// Small helpers: elements, numbers as text, numbers from text.

export const byId = (id) => document.getElementById(id);

// Makes an element; strings among the children become text, never markup.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Whole numbers with commas; the browser's own formatting takes 50 ms to begin with.
export const count = (number) => String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");

export const percent = (rate, decimals = 2) => `${(100 * rate).toFixed(decimals)}\u00a0%`;

export const shortPercent = (rate) => `${+(100 * rate).toFixed(4)}\u00a0%`;

export const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

export const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);

export const clipped = (value, low, high) => Math.min(high, Math.max(low, value));

// Calls a function when nothing is left to draw, at the latest in half a second.
export const whenIdle = (call) => (window.requestIdleCallback ? requestIdleCallback(call, { timeout: 500 }) : setTimeout(call));

// Calls a function at most once a frame.
export function oncePerFrame(call) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      call();
    });
  };
}

// Follows a pointer that is down: `moved` gets the place before and the place now, the same place twice at first.
export function onDrag(canvas, placeOf, moved, ended) {
  let from;
  const follow = (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const to = placeOf(event);
    moved(from ?? to, to);
    from = to;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    from = undefined;
    follow(event);
  });
  canvas.addEventListener("pointermove", follow);
  canvas.addEventListener("pointerup", ended);
}
