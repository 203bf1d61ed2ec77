// What the theme leaves out for keyboards and screen readers.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
addEventListener("load", () => {
  // What scrolls must be reachable by Tab. The theme puts tables into their frames late.
  const parts = "pre > code, .formula, .md-typeset__scrollwrap, .md-sidebar__scrollwrap";
  for (const part of document.querySelectorAll(parts))
    if (part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight)
      part.tabIndex = 0;
  document.querySelectorAll(".md-code__nav").forEach((nav, n) => {
    nav.setAttribute("aria-label", `Code block ${n + 1}`);
  });
  // The corner of a table that has names at both sides heads nothing.
  for (const head of document.querySelectorAll("th:empty")) {
    head.replaceWith(document.createElement("td"));
  }
});
