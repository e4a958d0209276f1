"use strict";

// The dark style sheet of Swagger UI hangs on a class of the root element.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const followColorScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followColorScheme);
followColorScheme();

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: `${document.getElementById("swagger-ui").dataset.prefix}/openapi.json`,
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // Neither a badge that sends our address to another host, nor parameters of this page's URL that would
  // let a link show somebody else's document under our name.
  validatorUrl: null,
  queryConfigEnabled: false,
});
