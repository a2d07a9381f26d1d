// The cells, and rows of the table of results: one for each cell and measurement.

const DATA = JSON.parse(byId("data").textContent);
const CELLS = new Map(DATA.cells.map((cell) => [cell.id, cell]));

const fragmentOf = (cell) => "#cell/" + cell.id.split("/").map(encodeURIComponent).join("/");
const groupOf = (cell) => DATA.groups[cell.group];
const pooled = (place) => DATA.pool[place];
const lineOf = (cell) => cell.method + (cell.arm ? (cell.arm.startsWith("+") ? "" : ".") + cell.arm : "");
const titleOf = (cell) => `${lineOf(cell)}, K = ${cell.budget}, seed ${cell.seed}`;
const isUnpruned = (cell) => cell.method === "unpruned" && !cell.arm;

/** The unpruned model that a cell is compared with: same data, same architecture, same seed. */
function unprunedOf(cell) {
  return DATA.cells.find((other) => other.group === cell.group && other.seed === cell.seed && isUnpruned(other));
}

/** `test bleu`, `latency_ms (batch 1)` */
function metricName(metric) {
  const batch = metric.batch_size === null ? "" : ` (batch ${metric.batch_size})`;
  return (metric.split ? metric.split + " " : "") + metric.metric + batch;
}

/** The track of a group says what a latency is of. */
function unitOf(metric, group) {
  return group.units[metric.metric] ?? metric.unit;
}

const METRIC_NAMES = DATA.metrics.map(metricName);
const QUALITY = "test quality";

/** Rows of what is chosen as metric; a cell without a result has one row, with its reason. */
function rowsOf(metric) {
  const rows = [];
  for (const cell of DATA.cells) {
    const group = groupOf(cell);
    const quality = "test " + group.quality;
    const places = [...METRIC_NAMES.keys()].filter((place) => {
      const name = METRIC_NAMES[place];
      const wanted = metric === "" || metric === name || (metric === QUALITY && name === quality);
      const value = cell.values[place];
      return wanted && value !== null && value !== undefined;
    });
    for (const place of places) rows.push(rowOf(cell, group, METRIC_NAMES[place], unitOf(DATA.metrics[place], group), cell.values[place]));
    const failed = cell.status !== "ok" && !places.some((place) => METRIC_NAMES[place] === quality);
    if (failed) rows.push(rowOf(cell, group, quality, "", null));
  }
  return rows;
}

function rowOf(cell, group, metric, unit, value) {
  const { track, dataset, model } = group;
  const { method, arm, budget, kept, seed, status, reason } = cell;
  return { cell, track, dataset, model, method, arm, budget, kept, seed, metric, value, unit, status, reason };
}

/** What a search looks through. */
const textOf = (row) => Object.values({ ...row, cell: row.cell.id, signature: row.cell.signature }).join(" ").toLowerCase();
