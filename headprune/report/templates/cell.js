// The view of one cell: what it is, its mask, its measurements, outputs, configuration and log.

function cellView(cell) {
  const group = groupOf(cell);
  const ok = cell.status === "ok";
  const facts = [
    ["Status", element("span", { class: "status " + (ok ? "ok" : "bad") }, cell.status)],
    [group.label, number(cell.values[METRIC_NAMES.indexOf("test " + group.quality)])],
    ["Heads kept", cell.kept === null ? "–" : `${cell.kept} of ${cell.heads}`],
    ["Seed", String(cell.seed)],
    ["Track", group.track],
    ["Data", group.dataset],
    ["Model", group.model],
    ["Signature", element("code", {}, cell.signature || "–")],
  ];
  const list = element("dl", { class: "facts" }, facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  return [
    steps(cell),
    element("h1", { id: "cell-title", tabindex: "-1" }, titleOf(cell)),
    cell.reason ? element("p", { class: "note" + (ok ? "" : " bad") }, cell.reason) : null,
    list,
    part("Mask", maskPicture(cell)),
    part("Metrics", metricsOf(cell)),
    part("Example outputs", ...examplesOf(cell)),
    part("Configuration", ...configurationOf(cell)),
    part("Log", ...logsOf(cell)),
  ];
}

const part = (title, ...content) => element("section", {}, element("h2", {}, title), ...content);

/** Ways on: the table, and the cells before and after this one in it. */
function steps(cell) {
  const order = [...new Set(state.rows.map((row) => row.cell))];
  const place = order.indexOf(cell);
  const link = (other, text) => (other ? element("a", { href: fragmentOf(other), title: titleOf(other) }, text) : null);
  return element("nav", { class: "steps", "aria-label": "Cells" },
    element("a", { href: "#results" + query() }, "← All results"),
    place > 0 ? link(order[place - 1], "Previous cell") : null,
    place >= 0 ? link(order[place + 1], "Next cell") : null);
}

function metricsOf(cell) {
  const base = unprunedOf(cell);
  const compared = base && base !== cell;
  const rows = [];
  DATA.metrics.forEach((metric, place) => {
    const value = cell.values[place];
    if (value === null || value === undefined) return;
    const before = compared ? base.values[place] ?? null : null;
    const quartiles = cell.quartiles[place];
    const shown = number(value) + (quartiles ? ` [${number(quartiles[0])}, ${number(quartiles[1])}]` : "");
    const ratio = before ? String(Number((value / before).toPrecision(3))) : "–";
    const note = metric.metric_signature ? element("small", {}, metric.metric_signature) : "";
    rows.push([METRIC_NAMES[place], shown, ...(compared ? [number(before), ratio] : []), unitOf(metric, groupOf(cell)), note]);
  });
  if (!rows.length) return element("p", { class: "note" }, "Nothing was measured.");
  const columns = [{ title: "metric" }, { title: "value [quartiles]", number: true }];
  if (compared) columns.push({ title: "unpruned, same seed", number: true }, { title: "ratio", number: true });
  columns.push({ title: "unit" }, { title: "how" });
  return scrolling("Metrics", tableOf(columns, rows, { class: "metrics" }));
}

/** Every option the results depend on, one a line: `training.updates: 300`. */
function flat(value, path) {
  if (value === null || typeof value !== "object") return [`${path}: ${typeof value === "string" ? value : JSON.stringify(value)}`];
  if (Array.isArray(value) && value.every((one) => one === null || typeof one !== "object")) return [`${path}: ${JSON.stringify(value)}`];
  const entries = Object.entries(value);
  return entries.length ? entries.flatMap(([key, one]) => flat(one, path ? `${path}.${key}` : key)) : [`${path}: {}`];
}

function configurationOf(cell) {
  if (!cell.config) return [element("p", { class: "note" }, "No configuration: manifest.json has nothing under this cell's signature.")];
  const lines = Object.entries(cell.config).flatMap(([key, place]) => flat(pooled(place), key));
  return [
    element("p", { class: "caption" }, `What signature ${cell.signature} stands for: everything that the numbers of this cell depend on.`),
    element("pre", { tabindex: "0" }, lines.join("\n")),
  ];
}

function logsOf(cell) {
  const found = [];
  if (cell.trace.length) found.push(element("h3", {}, "End of the trace"), element("pre", { tabindex: "0" }, cell.trace.join("\n")));
  for (const [name, place] of cell.logs)
    found.push(element("h3", {}, element("code", {}, name)), element("pre", { tabindex: "0" }, pooled(place)));
  if (cell.logs.length) found.push(element("p", { class: "caption" }, "The end of each log; a job may have computed other cells, too."));
  return found.length ? found : [element("p", { class: "note" }, pooled(cell.silence))];
}
