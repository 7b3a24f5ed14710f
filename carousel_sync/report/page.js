"use strict";
const form = document.querySelector(".filter");
const parts = document.querySelectorAll("[data-category]");
if (form) {
  const select = form.querySelector("select");
  const result = form.querySelector("output");
  const apply = () => {
    const wanted = select.value;
    let rows = 0;
    for (const part of parts) {
      part.hidden = wanted !== "" && part.dataset.category !== wanted;
      rows += part.localName === "tr" && !part.hidden ? 1 : 0;
    }
    result.textContent = wanted === "" ? "" : `${rows} rows of this category. Answers and downloads cover all categories.`;
  };
  select.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
