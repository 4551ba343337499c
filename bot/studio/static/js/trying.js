// The page "try it": values beside sliders, and an interpolation with one point shown large.

import { find, findAll } from "./dom.js";

// An interpolation's points are a list; with a slider one of them is shown large.
function prepareInterpolation(section) {
  const slider = find("input", section);
  const here = find("[data-here]", section);
  const points = findAll("li", section);
  const show = () => {
    points.forEach((point, number) => point.classList.toggle("is-here", number === slider.valueAsNumber));
    here.textContent = find("span", points[slider.valueAsNumber]).textContent;
  };
  points.forEach((point, number) => point.addEventListener("click", () => ((slider.value = number), show())));
  slider.addEventListener("input", show);
  slider.hidden = here.hidden = false;
  show();
}

export function setup() {
  findAll("output[for]").forEach((output) => {
    const input = document.getElementById(output.htmlFor);
    input.addEventListener("input", () => (output.value = input.value));
  });
  findAll("[data-interpolation]").forEach(prepareInterpolation);
}
