// The table of results: filtered by selections and text, sorted by column, drawn as far as it is read.

const STEP = 100; // rows drawn at a time
const COLUMNS = [
  { key: "track", title: "track", filter: true },
  { key: "dataset", title: "dataset", filter: true },
  { key: "model", title: "model", filter: true },
  { key: "method", title: "method", filter: true, link: true },
  { key: "arm", title: "arm", filter: true },
  { key: "budget", title: "K", label: "budget K", number: true, filter: true },
  { key: "seed", title: "seed", number: true, filter: true },
  { key: "value", title: "value", number: true },
  { key: "unit", title: "unit" },
  { key: "metric", title: "metric" },
  { key: "kept", title: "heads kept", number: true },
  { key: "status", title: "status", filter: true },
  { key: "reason", title: "reason" },
];
const NOT_OK = "not ok";
const state = { metric: QUALITY, text: "", chosen: {}, sort: null, descending: false, limit: STEP, rows: [] };

const cellValues = (key) => new Set(DATA.cells.map((cell) => (key in cell ? cell[key] : groupOf(cell)[key])));
const inOrder = (values) => [...values].sort((a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b))));
const ALWAYS = new Set(["method", "budget", "kept", "seed", "metric", "value", "unit", "status"]);
const VARYING = COLUMNS.filter((column) => {
  if (column.key === "reason") return DATA.cells.some((cell) => cell.reason);
  return ALWAYS.has(column.key) || cellValues(column.key).size > 1;
});

function buildFilters() {
  const form = byId("filters");
  const field = (name, label, control) =>
    form.append(element("label", { class: control.tagName === "INPUT" ? "text" : null }, element("span", {}, label), control));
  const select = (name, options, change) =>
    element("select", { name, change: (event) => (change(event.target), changed()) }, options.map(([value, label]) => element("option", { value }, label)));
  const search = (event) => ((state.text = event.target.value), changed());
  field("text", "search", element("input", { type: "search", name: "text", placeholder: "any column, reason, signature", input: search, autocomplete: "off" }));
  for (const column of COLUMNS.filter((one) => one.filter && cellValues(one.key).size > 1)) {
    const options = inOrder(cellValues(column.key)).map((value) => [String(value), String(value) || "(none)"]);
    if (column.key === "status") options.push([NOT_OK, NOT_OK]);
    field(column.key, column.label || column.title, select(column.key, [["", "all"], ...options], choose));
  }
  const names = [...new Set(METRIC_NAMES)].sort().map((name) => [name, name]);
  field("metric", "metric", select("metric", [[QUALITY, QUALITY], ["", "all"], ...names], (control) => (state.metric = control.value)));
  form.append(element("button", { type: "reset" }, "Clear"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    Object.assign(state, { metric: QUALITY, text: "", chosen: {}, sort: null, descending: false });
    changed();
  });
  const constant = COLUMNS.filter((one) => !VARYING.includes(one) && one.key !== "reason" && cellValues(one.key).size === 1);
  const told = constant.map((one) => [one.title, String([...cellValues(one.key)][0])]).filter(([, value]) => value);
  if (told.length) byId("constant").textContent = "In all rows: " + told.map((pair) => pair.join(" ")).join(" · ");
}

/** The first option is all: an arm without a name has the same value. */
function choose(control) {
  if (control.selectedIndex > 0) state.chosen[control.name] = control.value;
  else delete state.chosen[control.name];
}

function buildHead() {
  const headings = VARYING.map((column) =>
    element("th", { scope: "col", class: column.number ? "number" : null, "aria-sort": "none", "data-key": column.key },
      element("button", { type: "button", click: () => sortBy(column.key) }, column.title))
  );
  byId("table").tHead.append(element("tr", {}, headings));
}

function sortBy(key) {
  state.descending = state.sort === key && !state.descending;
  state.sort = key;
  changed();
}

/** What does not hold, and empty text, comes last in either direction. */
function compare(a, b) {
  const [x, y] = [a[state.sort], b[state.sort]];
  const [noX, noY] = [x === null || x === "", y === null || y === ""];
  if (noX || noY) return noX - noY;
  const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
  return state.descending ? -order : order;
}

/** Whether a row has all words of the search and everything that is chosen. */
function matches(row, words) {
  const chosen = ([key, value]) => (value === NOT_OK ? row[key] !== "ok" : String(row[key]) === value);
  if (!Object.entries(state.chosen).every(chosen)) return false;
  const text = words.length ? textOf(row) : "";
  return words.every((word) => text.includes(word));
}

function shownRows() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = rowsOf(state.metric).filter((row) => matches(row, words));
  return state.sort === null ? rows : rows.sort(compare);
}

/** Filters and order as the end of an address, `?method=dsp&sort=-value`; empty where there are none. */
function query() {
  const found = new URLSearchParams(state.chosen);
  if (state.text) found.set("text", state.text);
  if (state.metric !== QUALITY) found.set("metric", state.metric);
  if (state.sort) found.set("sort", (state.descending ? "-" : "") + state.sort);
  return found.size ? "?" + found : "";
}

/** Filters or order have changed: the address says which, so that it can be passed on. */
function changed() {
  state.limit = STEP;
  history.replaceState(null, "", "#results" + query());
  draw();
}

/** Filters and order as an address says them. */
function restore(text) {
  if (text === query()) return;
  const given = new URLSearchParams(text);
  const form = byId("filters");
  form.elements.text.value = state.text = given.get("text") || "";
  for (const control of form.querySelectorAll("select")) {
    const values = [...control.options].map((option) => option.value);
    const first = control.name === "metric" ? 0 : 1; // "all" is no value
    control.selectedIndex = given.has(control.name) ? Math.max(0, values.indexOf(given.get(control.name), first)) : 0;
    if (control.name === "metric") state.metric = control.value;
    else choose(control);
  }
  const sort = given.get("sort") || "";
  state.descending = sort.startsWith("-");
  state.sort = VARYING.map((column) => column.key).find((key) => key === sort.replace(/^-/, "")) || null;
  state.limit = STEP;
  draw();
}

function draw() {
  const rows = (state.rows = shownRows());
  const visible = rows.slice(0, state.limit);
  byId("table").tBodies[0].replaceChildren(...visible.map(drawRow));
  for (const heading of byId("table").tHead.querySelectorAll("th")) {
    const sorted = heading.dataset.key === state.sort;
    heading.setAttribute("aria-sort", sorted ? (state.descending ? "descending" : "ascending") : "none");
  }
  const cells = new Set(rows.map((row) => row.cell));
  const failed = [...cells].filter((cell) => cell.status !== "ok").length;
  const shown = visible.length < rows.length ? `${number(visible.length)} of ${number(rows.length)}` : number(rows.length);
  byId("count").textContent =
    `Rows shown: ${shown}, from ${number(cells.size)} of ${number(DATA.cells.length)} cells; ${number(failed)} without a result.`;
  const more = (text, limit) => element("button", { type: "button", click: () => ((state.limit = limit), draw()) }, text);
  const left = rows.length - visible.length;
  const buttons = left > STEP ? [more(`Show ${STEP} more`, state.limit + STEP), " "] : [];
  byId("more").replaceChildren(...(left > 0 ? [...buttons, more(`Show all ${number(rows.length)}`, Infinity)] : []));
}

function drawRow(row) {
  const cells = VARYING.map((column) => {
    const value = row[column.key];
    const text = column.key === "value" ? number(value) : value === null ? "–" : String(value);
    const content = column.link
      ? element("a", { href: fragmentOf(row.cell), "aria-label": titleOf(row.cell) }, text)
      : column.key === "status" ? element("span", { class: "status " + (value === "ok" ? "ok" : "bad") }, text) : text;
    const exact = column.key === "value" && value !== null ? String(value) : null;
    const kind = column.number ? "number" : column.key === "reason" ? "reason" : null;
    return element("td", { class: kind, title: exact }, content);
  });
  return element("tr", { class: row.status === "ok" ? null : "failed" }, cells);
}
