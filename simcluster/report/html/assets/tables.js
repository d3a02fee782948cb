// Tables: a click on a column's name sorts, a second one turns the order round; a field filters.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.order === undefined ? cell.textContent : Number(cell.dataset.order);
    };
    const compare = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
      return typeof a === "number" ? -1 : 1;
    };
    const blank = (row) => row.cells[column].textContent.trim() === "", all = [...body.rows];
    const rows = all.filter((row) => !blank(row)).sort(compare);
    body.append(...(falling ? rows.reverse() : rows), ...all.filter(blank));  // blanks last either way
  }));
}
for (const field of document.querySelectorAll("input.filter")) {
  const section = field.closest("section"), rows = [...section.querySelector("tbody").rows];
  const printed = section.querySelector(".printed"), whole = printed && printed.textContent;
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      count += !row.hidden;
    }
    section.querySelector(".shown").textContent = wanted ? count + " of " + rows.length : "";
    const found = "Rows with “" + field.value + "”: " + count.toLocaleString("en");
    const which = count > 50 ? ", of which the first 50 are printed." : ", all printed.";
    if (printed) printed.textContent = wanted ? found + which : whole;
  });
}
