// Sorts the table of all cells by a click on a head, and filters it; without this it is a table.
(() => {
  const table = document.getElementById("every-cell");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const scale = { p: 1e-12, n: 1e-9, "µ": 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

  // "1.2 ms" is 0.0012, "1,024" is 1024, an empty cell is missing
  const number = (text) => {
    const parts = /^([\d.,]+(?:e[+-]?\d+)?)\s*(?:([pnµmkMGT])[sB])?/.exec(text);
    return parts ? parseFloat(parts[1].replaceAll(",", "")) * (scale[parts[2]] ?? 1) : NaN;
  };

  const sort = (head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const column = head.cellIndex;
    const numeric = head.classList.contains("n");
    const keys = new Map(rows.map((row) => {
      const text = row.cells[column].textContent;
      return [row, numeric ? number(text) : text];
    }));
    const missing = (key) => key === "" || Number.isNaN(key);
    rows.sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      return (numeric ? a - b : a.localeCompare(b)) * (down ? -1 : 1);
    });
    body.append(...rows);
  };

  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }

  const box = document.createElement("input");
  const shown = document.createElement("output");
  box.type = "search";
  box.placeholder = "Filter: words that a row must have, such as conv2d numba ok";
  box.setAttribute("aria-label", "Filter the cells");
  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/);
    const kept = rows.filter((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      return !row.hidden;
    });
    shown.textContent = `${kept.length} of ${rows.length} cells`;
  };
  box.addEventListener("input", filter);
  table.parentElement.before(box, shown);
  filter();
})();
