// Tooltips for whatever has a title or data-tip, the tie between the front and the table, sorting, and a copy button.
"use strict";
(() => {
  const tip = document.getElementById("tip");
  for (const title of document.querySelectorAll("svg title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove(); // otherwise the browser's own tooltip comes on top of ours
  }
  const mark = (key, on) => {
    if (key) for (const twin of document.querySelectorAll(`[data-key="${key}"]`)) twin.classList.toggle("on", on);
  };
  const words = (target) => {
    const row = target.dataset.key && document.querySelector(`tr[data-key="${target.dataset.key}"]`);
    if (!row) return target.dataset.tip;
    const heads = row.closest("table").tHead.rows[0].cells;
    const known = [...row.cells].map((cell, i) => [heads[i].textContent, cell.textContent]).filter(([, text]) => text !== "\u2013");
    return known.map(([head, text], i) => (i ? `${head}: ${text}` : `candidate ${text}`)).join("\n");
  };
  const show = (target) => {
    tip.textContent = words(target);
    tip.hidden = false;
    const box = target.getBoundingClientRect(), room = document.documentElement;
    const beside = box.right + 14 + tip.offsetWidth < room.clientWidth ? box.right + 14 : box.left - 14 - tip.offsetWidth;
    const top = (box.top + box.bottom - tip.offsetHeight) / 2;
    tip.style.left = `${Math.max(8, beside) + scrollX}px`;
    tip.style.top = `${Math.max(8, Math.min(top, innerHeight - tip.offsetHeight - 8)) + scrollY}px`;
  };
  const find = (event) => event.target.closest?.("[data-tip], circle[data-key], tr[data-key]");
  const enter = (event) => {
    const target = find(event);
    if (!target) return;
    if (target.tagName !== "TR") show(target);
    mark(target.dataset.key, true);
  };
  const leave = (event) => {
    const target = find(event);
    if (!target) return;
    tip.hidden = true;
    mark(target.dataset.key, false);
  };
  for (const name of ["pointerover", "focusin"]) document.addEventListener(name, enter);
  for (const name of ["pointerout", "focusout"]) document.addEventListener(name, leave);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
    const here = document.activeElement;
    if (!here?.matches?.("circle[data-key]") || !event.key.startsWith("Arrow")) return;
    const points = [...here.ownerSVGElement.querySelectorAll("circle[tabindex]")].sort((a, b) => a.cx.baseVal.value - b.cx.baseVal.value);
    const step = event.key === "ArrowRight" || event.key === "ArrowUp" ? 1 : -1;
    points[points.indexOf(here) + step]?.focus();
    event.preventDefault();
  });

  for (const button of document.querySelectorAll(".sortable th button")) {
    button.addEventListener("click", () => {
      const head = button.parentNode, table = head.closest("table"), column = head.cellIndex;
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[column], number = parseFloat(cell.dataset.v);
        return Number.isNaN(number) ? cell.textContent : number;
      };
      const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * compare(value(a), value(b)));
      table.tBodies[0].append(...rows);
    });
  }

  for (const block of document.querySelectorAll("pre")) {
    const button = document.createElement("button");
    const code = block.textContent;
    button.className = "copy";
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block.querySelector("code"));
        button.textContent = "Selected";
      }
    });
    block.prepend(button);
  }
})();
