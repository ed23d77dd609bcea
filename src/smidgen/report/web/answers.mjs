// The table of answers: a bar for each class, of the network that is shown and of its teacher.

import { byId, percent } from "./elements.mjs";
import { classText } from "./page.mjs";

const rows = [...byId("answers").tBodies[0].rows];

// Writes the answer of "network" or "teacher"; null clears it.
export function showAnswer(who, answer) {
  rows.forEach((row, at) => {
    const cell = row.querySelector(`[data-who="${who}"]`);
    if (!cell) return;
    const score = answer ? answer.scores[at] : 0;
    cell.firstElementChild.firstElementChild.style.transform = `scaleX(${score})`;
    cell.lastElementChild.textContent = answer ? percent(score, 1) : "";
    cell.classList.toggle("best", answer?.index === at);
  });
  const verdict = byId(`${who}-verdict`);
  if (verdict) verdict.textContent = answer ? classText(answer.index) : "–";
}

// Says the answer to readers who do not see it; called at the end of a stroke and not during it.
export function sayAnswer(answer) {
  byId("said").textContent = answer ? `${classText(answer.index)}, ${percent(Math.max(...answer.scores), 0)}` : "";
}
