"use strict";
// Only an enhancement: without script the whole report is there, unfiltered.
(() => {
  const form = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const leaves = [...document.querySelectorAll("[data-c]:not([data-box])")];
  const boxes = [...document.querySelectorAll("[data-box]")];
  const texts = new Map();

  const textOf = (leaf) => {
    if (!texts.has(leaf)) {
      const box = leaf.closest("[data-box]");
      const about = box && box.querySelector(":scope > header, :scope > summary");
      texts.set(leaf, `${about ? about.textContent : ""} ${leaf.textContent}`.toLowerCase());
    }
    return texts.get(leaf);
  };
  const covers = (ranges, number) =>
    ranges.split(", ").some((range) => {
      const [low, high] = range.split("-").map(Number);
      return low <= number && number <= (high ?? low);
    });
  const chosen = (name) => {
    const all = [...form.querySelectorAll(`[name=${name}]`)];
    const on = all.filter((box) => box.checked);
    return on.length === all.length ? null : new Set(on.map((box) => box.value));
  };

  const apply = () => {
    const outcomes = chosen("o");
    const severities = chosen("s");
    const area = form.elements.a.value;
    const subject = form.elements.c.value;
    const query = form.elements.q.value.trim().toLowerCase();
    let kept = 0;
    for (const leaf of leaves) {
      const { o, s, a, c } = leaf.dataset;
      const keep =
        (!outcomes || !o || outcomes.has(o)) &&
        (!severities || !s || o === "pass" || s.split(" ").some((one) => severities.has(one))) &&
        (!area || !o || (a ? a === area : textOf(leaf).includes(`${area}-`))) &&
        (!subject || covers(c, Number(subject))) &&
        (!query || textOf(leaf).includes(query));
      leaf.hidden = !keep;
      kept += keep;
    }
    const filtered = kept !== leaves.length;
    for (const box of boxes) {
      const inner = box.querySelectorAll("[data-c]:not([data-box])");
      const own = box.dataset.c;
      box.hidden = filtered && (inner.length
        ? [...inner].every((leaf) => leaf.hidden)
        : own !== undefined && subject !== "" && own !== subject);
    }
    document.body.classList.toggle("filtered", filtered);
    shown.textContent = filtered ? `Filtered: ${kept} of ${leaves.length} entries are shown.` : "";
  };

  // A link into a folded section unfolds it, also in browsers that do not do so themselves.
  const unfold = () => {
    let target = null;
    try {
      target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return;
    }
    for (let one = target && target.closest("details"); one; one = one.parentElement.closest("details")) {
      one.open = true;
    }
    if (target) target.scrollIntoView();
  };

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
    folded = [];
  });
  addEventListener("hashchange", unfold);
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  if (location.hash) unfold();
})();
