// What the theme leaves out for keyboards and screen readers.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
addEventListener("load", () => {
  // What scrolls sideways must be reachable by Tab. The theme puts tables into their frames late.
  const wide = "pre > code, .formula, .md-typeset__scrollwrap, .md-sidebar__scrollwrap";
  for (const part of document.querySelectorAll(wide)) part.tabIndex = 0;
  document.querySelectorAll(".md-code__nav").forEach((nav, n) => {
    nav.setAttribute("aria-label", `Code block ${n + 1}`);
  });
  // The corner of a table that has names at both sides heads nothing.
  for (const head of document.querySelectorAll("th:empty")) {
    head.replaceWith(document.createElement("td"));
  }
});
