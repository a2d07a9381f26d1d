// A few outputs of a cell beside those of the unpruned model of its seed.

/** Words and the white space between them. */
const words = (text) => text.match(/\s+|[^\s]+/g) || [];

/** For every word of two texts whether it is in their longest common subsequence. */
function common(a, b) {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const [inA, inB] = [new Array(a.length).fill(false), new Array(b.length).fill(false)];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) inA[i++] = inB[j++] = true;
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return [inA, inB];
}

/** Both texts with what only one of them has marked: `del` in the first, `ins` in the second. */
function marked(first, second) {
  const [a, b] = [words(first).filter((w) => w.trim()), words(second).filter((w) => w.trim())];
  const [inA, inB] = common(a, b);
  const mark = (text, known, tag) => {
    let place = 0;
    return words(text).map((word) => (word.trim() && !known[place++] ? element(tag, {}, word) : word));
  };
  return [mark(first, inA, "del"), mark(second, inB, "ins")];
}

function examplesOf(cell) {
  const shared = groupOf(cell).examples;
  if (cell.outputs.absent) return [element("p", { class: "note" }, `No outputs: ${cell.outputs.absent}.`)];
  const base = unprunedOf(cell);
  const other = base && base !== cell && !base.outputs.absent ? base.outputs.values : null;
  const why = base === cell ? "This is the unpruned model." : other ? "" : "The unpruned model of this seed has no outputs to compare with.";
  const drawn = { texts: translations, likelihoods, labels: predictions }[groupOf(cell).layout](shared, cell.outputs.values, other);
  const opening = `${shared.numbers.length} of ${number(shared.total)} segments of the test set, evenly spaced, the same for every cell. `;
  const table = [element("p", { class: "caption" }, opening + drawn.note + " " + why), scrolling("Example outputs", drawn.table)];
  return cell.outputs.sample ? [...table, ...sampleOf(cell, base)] : table;
}

/** How a language model goes on from a text. */
function sampleOf(cell, base) {
  const [prompt, continuation] = cell.outputs.sample.map(pooled);
  const other = base && base !== cell && base.outputs.sample ? pooled(base.outputs.sample[1]) : null;
  const columns = ["prompt", ...(other === null ? [] : ["unpruned"]), "this model"].map((title) => ({ title }));
  const row = [prompt, ...(other === null ? [] : [other]), continuation];
  const note = "Text that the model writes after the prompt, drawn with the same random numbers for every cell.";
  return [element("p", { class: "caption" }, note), scrolling("Sample of text", tableOf(columns, [row], { class: "stacking texts sample" }))];
}

function translations(shared, own, other) {
  const rows = shared.numbers.map((place, i) => {
    const mine = pooled(own[i]);
    const [before, now] = other ? marked(pooled(other[i]), mine) : [null, mine];
    return [String(place + 1), shared.sources && pooled(shared.sources[i]), shared.references && pooled(shared.references[i]), before, now];
  });
  const titles = ["segment", "source", "reference", "unpruned", "this model"];
  const used = [0, 1, 2, 3, 4].filter((column) => rows.some((row) => row[column] !== null && row[column] !== undefined));
  const table = tableOf(used.map((column) => ({ title: titles[column] })), rows.map((row) => used.map((column) => row[column] ?? "–")), { class: "stacking texts" });
  return { table, note: other ? "Struck out: words that only the unpruned model has; underlined: words that only this one has." : "" };
}

function likelihoods(shared, own, other) {
  const rows = shared.numbers.map((place, i) => {
    const tokens = shared.tokens[i];
    const text = shared.texts ? [pooled(shared.texts[i])] : [];
    const perToken = [own, other].map((values) => (values && values[i] !== null ? values[i] / tokens : null));
    const difference = perToken[1] === null || perToken[0] === null ? null : perToken[0] - perToken[1];
    return [String(place + 1), ...text, number(tokens), number(perToken[1]), number(perToken[0]), number(difference)];
  });
  const text = shared.texts ? [{ title: "text" }] : [];
  const columns = [{ title: "segment" }, ...text, ...["tokens", "unpruned", "this model", "difference"].map((title) => ({ title, number: true }))];
  return { table: tableOf(columns, rows, { class: "stacking texts" }), note: "Log-likelihood per token, in nats; nearer to 0 is better." };
}

function predictions(shared, own, other) {
  const rows = shared.numbers.map((place, i) => [String(place + 1), pooled(shared.labels[i]), other ? pooled(other[i]) : "–", pooled(own[i])]);
  const columns = ["segment", "label", "unpruned", "this model"].map((title) => ({ title }));
  return { table: tableOf(columns, rows, { class: "stacking texts" }), note: "" };
}
