// Addresses: #results?…, #cell/…, or a section. The page shows the overview or one cell.

let left = null; // where the reader left the table: { scroll, fragment }

function cellOfAddress() {
  if (!location.hash.startsWith("#cell/")) return undefined;
  try {
    return CELLS.get(location.hash.slice("#cell/".length).split("/").map(decodeURIComponent).join("/")) || null;
  } catch {
    return null; // no address of ours
  }
}

function show(first) {
  const cell = cellOfAddress();
  const [overview, view] = [byId("overview"), byId("cell")];
  const was = overview.hidden;
  if (cell !== undefined) {
    if (!was && !first) left = { scroll: scrollY, fragment: location.hash };
    overview.hidden = true;
    view.hidden = false;
    view.replaceChildren(...(cell === null ? nowhere() : cellView(cell).filter(Boolean)));
    document.title = (cell ? titleOf(cell) : "No such cell") + " · " + TITLE;
    scrollTo(0, 0);
    byId("cell-title").focus({ preventScroll: true });
    return;
  }
  overview.hidden = false;
  view.hidden = true;
  view.replaceChildren();
  document.title = TITLE;
  const asked = location.hash.startsWith("#results?");
  if (asked) restore(location.hash.slice("#results".length));
  if (was || asked || first) arrive(was);
}

function nowhere() {
  return [element("h1", { id: "cell-title", tabindex: "-1" }, "No such cell"), element("p", {}, "This report has no cell of this name: ", element("code", {}, location.hash)), element("p", {}, element("a", { href: "#results" }, "All results"))];
}

/** Goes to the section of the address; back from a cell, to the row that led there. */
function arrive(fromCell) {
  const name = location.hash.slice(1).split("?")[0];
  if (fromCell && left && (name === "results" || name === "")) {
    scrollTo(0, left.scroll);
    const link = [...document.querySelectorAll("#table a")].find((one) => one.getAttribute("href") === left.fragment);
    if (link) link.focus({ preventScroll: true });
    return;
  }
  const target = name && byId(name);
  if (!target) return;
  const details = target.closest("details");
  if (details) details.open = true;
  target.scrollIntoView();
}

function enlargeable(button) {
  const picture = button.closest("figure").querySelector(".picture");
  button.hidden = false;
  button.addEventListener("click", () => {
    const large = picture.classList.toggle("large");
    button.setAttribute("aria-pressed", String(large));
  });
}

const TITLE = document.title;
buildFilters();
buildHead();
draw();
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // an address of its own would close a cell
  byId("main").focus();
});
document.querySelectorAll("button.enlarge").forEach(enlargeable);
window.addEventListener("hashchange", () => show(false));
show(true);
