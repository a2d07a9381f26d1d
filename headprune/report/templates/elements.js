"use strict";
// Elements from text. Nothing on this page is ever parsed as HTML: text goes into text nodes and attributes.

const SVG = "http://www.w3.org/2000/svg";

/** An element. attributes: `class`, `href`, …, or a function for an event; children: elements or text. */
function element(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const byId = (id) => document.getElementById(id);

/** A number as a reader wants it: whole ones in full, two decimals, small ones with four digits that count. */
function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const whole = Number.isInteger(value);
  if (!whole && (size < 0.001 || size >= 1e9)) return value.toExponential(2).replaceAll("-", "−");
  const decimals = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  const options = whole ? {} : size >= 1 ? decimals : { maximumSignificantDigits: 4 };
  return value.toLocaleString("en", options).replace("-", "−");
}

/** A table; `columns`: heading, and whether it holds numbers. Cells carry the heading for narrow screens. */
function tableOf(columns, rows, attributes) {
  const align = (i) => (columns[i].number ? "number" : null);
  const head = columns.map((column, i) => element("th", { scope: "col", class: align(i) }, column.title));
  const body = rows.map((row) =>
    element("tr", {}, row.map((content, i) => element("td", { class: align(i), "data-label": columns[i].title }, content)))
  );
  return element("table", attributes, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body));
}

/** A box that scrolls on its own, by keyboard too. */
function scrolling(name, content) {
  return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": name }, content);
}
