// Sorts and filters the table in place. Without it the same links and form ask the server.
"use strict";

const table = document.getElementById("table");
if (table) {
  const body = table.tBodies[0];
  const form = document.querySelector(".filters");
  const count = document.getElementById("count");

  const filter = () => {
    const asked = new FormData(form);
    const coin = asked.get("coin").trim().toUpperCase();
    const trend = asked.get("trend");
    let shown = 0;
    for (const row of body.rows) {
      const { coin: symbol, trend: direction, signal } = row.dataset;
      row.hidden = !(symbol.includes(coin) && (!trend || trend === direction) &&
        (!asked.get("signals") || signal === "true"));
      shown += row.hidden ? 0 : 1;
    }
    count.value = `${shown} of ${body.rows.length} members`;
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell.classList.contains("number")) return cell.textContent.trim();
    const number = Number.parseFloat(cell.dataset.value);
    return Number.isNaN(number) ? null : number;
  };

  const sort = (heading) => {
    const column = heading.cellIndex;
    const numeric = heading.classList.contains("number");
    const before = heading.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : numeric;
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column) }));
    rows.sort((one, two) => {
      if (one.value === null || two.value === null) return (one.value === null) - (two.value === null);
      const order = numeric ? one.value - two.value : one.value.localeCompare(two.value);
      return descending ? -order : order;
    });
    body.append(...rows.map(({ row }) => row));
  };

  for (const link of table.querySelectorAll("[data-sort]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      sort(link.closest("th"));
    });
  }
  // Only when the page holds every member; else the server has to be asked for the others.
  const total = Number(count.value.split(" of ")[1].split(" ")[0]);
  if (body.rows.length === total) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.querySelector("button").hidden = true;
  }
}
