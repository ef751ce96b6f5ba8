// Sorts the table by the column whose heading is clicked; a second click reverses the order.
const body = document.querySelector("#studies tbody");
for (const [column, heading] of document.querySelectorAll("#studies th").entries()) {
  const button = heading.querySelector("button");
  if (!button) continue;
  button.addEventListener("click", () => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of document.querySelectorAll("#studies th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = (row) => row.cells[column].textContent.trim();
    const rows = [...body.rows].sort((a, b) =>
      text(a).localeCompare(text(b), undefined, { numeric: true }));
    body.append(...(down ? rows.reverse() : rows));
  });
}
