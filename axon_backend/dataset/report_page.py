"""Look and behaviour of a data set's `report.html`."""

STYLE = """\
body { max-width: 76rem; padding-bottom: 5rem; }
article { border-top: 1px solid var(--line); padding: .4rem 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(33rem, 1fr)); gap: 1rem; }
.grid figure { margin: 0; }
.choice label { border: 1px solid var(--line); border-radius: 6px; padding: .2rem .7rem .2rem .4rem;
  margin-right: .4rem; cursor: pointer; color: var(--ink); }
.choice label:has(input[value=accept]:checked) { background: var(--good); color: var(--page); }
.choice label:has(input[value=reject]:checked) { background: var(--poor); color: var(--page); }
#bar { position: fixed; left: 0; right: 0; bottom: 0; padding: .7rem 1rem; background: var(--band);
  border-top: 2px solid var(--line); display: flex; gap: .8rem; align-items: center; }
#bar[hidden] { display: none; }
button { font: inherit; padding: .25rem .8rem; }
@media print { #bar { display: none; } .grid { display: block; } }
"""

BAR = """\
<div id="bar" hidden>
<span id="count"></span>
<button type="button" id="save">Save review.json</button>
<button type="button" id="copy">Copy</button>
<button type="button" id="undo">Undo all</button>
</div>
"""

# The page starts from the state that the last run knew; the file it makes holds what was decided
# before and what now differs.
SCRIPT = """
"use strict";
const key = "axon-review-" + DATA_SET_NAME;
const boxes = [...document.querySelectorAll("input[type=radio]")];
const earlier = EARLIER;
const bar = document.getElementById("bar");
function changed() { return boxes.filter(b => b.checked && b.value !== b.dataset.was); }
function review() {
  const decisions = { ...earlier };
  for (const b of changed()) {
    decisions[b.name] = { decision: b.value, picture: b.dataset.picture };
  }
  const all = { format: "axon-review", version: 1, decisions: decisions };
  return JSON.stringify(all, null, 2) + "\\n";
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
"""
