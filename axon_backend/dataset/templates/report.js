"use strict";
const key = "axon-review-" + {{ data_set | tojson }};
const boxes = [...document.querySelectorAll("input[type=radio]")];
const earlier = {{ earlier | tojson }};
const bar = document.getElementById("bar");
function changed() { return boxes.filter(b => b.checked && b.value !== b.dataset.was); }
function review() {
  const decisions = { ...earlier };
  for (const b of changed()) {
    decisions[b.name] = { decision: b.value, picture: b.dataset.picture };
  }
  const all = { format: "axon-review", version: 1, decisions: decisions };
  return JSON.stringify(all, null, 2) + "\n";
}
function remember() {
  try {
    const now = {};
    for (const b of changed()) { now[b.name + "|" + b.dataset.picture] = b.value; }
    localStorage.setItem(key, JSON.stringify(now));
  } catch (error) { /* no storage for pages from files: nothing is lost but a reload's state */ }
}
function show() {
  const n = changed().length;
  bar.hidden = n === 0;
  document.getElementById("count").textContent =
    n + (n === 1 ? " change" : " changes") + ". Put review.json into the data set's folder.";
}
for (const b of boxes) { b.addEventListener("change", () => { show(); remember(); }); }
document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([review()], { type: "application/json" }));
  link.download = "review.json";
  link.click();
});
document.getElementById("copy").addEventListener("click", async event => {
  const button = event.target;
  try { await navigator.clipboard.writeText(review()); button.textContent = "Copied"; }
  catch (error) {
    const area = document.createElement("textarea");
    area.value = review();
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.textContent = "Copied";
  }
});
document.getElementById("undo").addEventListener("click", () => {
  for (const b of boxes) { b.checked = b.value === b.dataset.was; }
  show(); remember();
});
try {
  const before = JSON.parse(localStorage.getItem(key) || "{}");
  for (const b of boxes) {
    if (before[b.name + "|" + b.dataset.picture] === b.value) { b.checked = true; }
  }
} catch (error) { /* as above */ }
show();
