// A classic script, run before the first paint; theme.js does the rest.
(function () {
  try {
    var chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be blocked: then the theme is the system's.
  }
})();
