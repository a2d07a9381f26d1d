// Which heads a cell kept: a block for each attention type, layers down, heads across.

const BOX = 18;

function maskPicture(cell) {
  if (!cell.mask) return element("p", { class: "note" }, "No mask: the cell has none, or masks.parquet is not in these results.");
  let place = 0;
  const kinds = new Map();
  for (const [kind, layer, heads] of DATA.spaces[cell.mask.space]) {
    const bits = heads.map(() => cell.mask.bits[place++] === "1");
    if (!kinds.has(kind)) kinds.set(kind, []);
    kinds.get(kind).push({ layer, heads, bits });
  }
  return element("div", { class: "masks" }, [...kinds].map(([kind, layers]) => maskOf(kind, layers)));
}

function maskOf(kind, layers) {
  const bits = layers.flatMap((one) => one.bits);
  const count = `${bits.filter(Boolean).length} of ${bits.length} kept`;
  const widest = Math.max(...layers.map((one) => one.bits.length));
  const [width, height] = [(widest + 1.4) * BOX, (layers.length + 1) * BOX];
  const words = layers.map((one) => `layer ${one.layer}: ` + (one.heads.filter((_, i) => one.bits[i]).join(", ") || "none"));
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${kind} heads kept, ${words.join("; ")}` });
  for (let i = 0; i < widest; i++) picture.append(label((i + 1.9) * BOX, 0.7 * BOX, layers[0].heads[i] ?? i));
  layers.forEach((one, row) => {
    picture.append(label(0.6 * BOX, (row + 1.7) * BOX, one.layer));
    one.bits.forEach((kept, column) => picture.append(head(kind, one, kept, row, column)));
  });
  return element("figure", {}, element("figcaption", {}, element("b", {}, kind), " ", count), picture);
}

const label = (x, y, text) => drawn("text", { x, y, "text-anchor": "middle", class: "axis" }, String(text));

function head(kind, one, kept, row, column) {
  const [x, y, size] = [(column + 1.4) * BOX + 2, (row + 1) * BOX + 2, BOX - 4];
  const name = drawn("title", {}, `${kind}.${one.layer}.${one.heads[column]}: ${kept ? "kept" : "removed"}`);
  return drawn("rect", { x, y, width: size, height: size, rx: 2, class: kept ? "kept" : "removed" }, name);
}
