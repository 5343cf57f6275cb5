"use strict";
// Tables sort by a button in each column's head: first rising, then falling, the order as written on the third press.
function sortTable(button) {
  const head = button.closest("th");
  const body = head.closest("table").tBodies[0];
  const column = head.cellIndex;
  const before = head.getAttribute("aria-sort");
  const next = before === "none" ? "ascending" : before === "ascending" ? "descending" : "none";
  for (const other of head.parentElement.cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", next);
  const turn = next === "descending" ? -1 : 1;
  const place = (row) => Number(row.dataset.place);
  const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  const rows = [...body.rows].sort((one, other) => {
    if (next === "none") return place(one) - place(other);
    const [a, b] = [key(one), key(other)];
    if (a === "" || b === "") return (a === "") - (b === "") || place(one) - place(other); // nothing there: always last
    const [x, y] = [Number(a), Number(b)];
    const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
    return turn * order || place(one) - place(other);
  });
  body.append(...rows);
}
for (const button of document.querySelectorAll("button.sort")) button.addEventListener("click", () => sortTable(button));
